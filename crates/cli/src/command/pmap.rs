//! `peerl pmap`: calls any function for many items, spread over the nodes of a cluster.

use std::path::PathBuf;

use clap::Args;
use peerl_term::Term;
use peerl_term::text::{Syntax, Template, json};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::answer::Answer;
use crate::bulk_run::{self, BulkRun, Work};
use crate::failure::{Failure, Status};
use crate::fan_out::{PeerOptions, WorkOptions, WorkerNodes, call_text, called, filled};
use crate::item_error::ItemError;
use crate::items::{ItemSource, ItemsFormat};
use crate::out_file::{Header, Record};
use crate::output::{Output, shortened, to_term};
use crate::results::{OutOptions, Shown};
use crate::settings::{Format, Settings};

/// Call a function for each of many items, spread over the nodes of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  seq 100 | peerl pmap 'erlang:binary_to_integer(_)' --items - --discover epmd:10.0.0.7
  peerl pmap 'MyApp.Image.resize(_, %{width: 800})' --items names.txt --node app@10.0.0.5 --out done.jsonl
  peerl pmap 'crypto:hash(sha256, _)' --items terms --items-format erlang --node w1@10.0.0.7

The `_` stands for the item. If some items failed, the exit code is 2.")]
pub(super) struct Pmap {
    /// The call, with `_` for the item: module:function(_) or Module.function(_).
    call: String,

    /// A file with the items; - is the standard input.
    #[arg(long, value_name = "FILE")]
    items: PathBuf,

    /// The format of the items.
    #[arg(long, default_value = "lines")]
    items_format: ItemsFormat,

    #[command(flatten)]
    peers: PeerOptions,

    #[command(flatten)]
    work: WorkOptions,

    #[command(flatten)]
    out: OutOptions,
}

/// A line of the results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ItemRecord {
    /// The item, as written in its format.
    item: String,
    /// The value; in the file it is JSON from which the term can be restored.
    #[serde(serialize_with = "write_value", deserialize_with = "read_value")]
    value: Option<Term>,
    node: Option<String>,
    ms: u64,
    error: Option<String>,
    #[serde(skip)]
    unanswered: bool,
}

impl Record for ItemRecord {
    fn item(&self) -> &str {
        &self.item
    }

    fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    fn is_answered(&self) -> bool {
        !self.unanswered
    }
}

impl Shown for ItemRecord {
    const HEAD: &'static [&'static str] = &["ITEM", "VALUE", "NODE", "MS"];

    fn cells(&self, syntax: Syntax, most: usize) -> Vec<String> {
        let value = match &self.value {
            Some(value) => shortened(syntax.display(value), most),
            None => shortened(self.error.as_deref().unwrap_or_default(), most),
        };
        let node = self.node.clone().unwrap_or_else(|| "-".to_owned());
        vec![shortened(&self.item, most), value, node, self.ms.to_string()]
    }

    fn term(&self, syntax: Syntax) -> Result<Term, Failure> {
        let Self { item, value, node, ms, error, .. } = self;
        let (node, error) = (node.as_deref(), error.as_deref());
        to_term(&TermRow { item, value: value.as_ref(), node, ms: *ms, error }, syntax)
    }
}

/// A row in Erlang or Elixir syntax.
#[derive(Serialize)]
struct TermRow<'a> {
    item: &'a str,
    value: Option<&'a Term>,
    node: Option<&'a str>,
    ms: u64,
    error: Option<&'a str>,
}

/// A term as JSON; one that is nested too deep, as a string.
fn write_value<S: Serializer>(value: &Option<Term>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(value) = value else { return serializer.serialize_none() };
    json::to_value(value)
        .unwrap_or_else(|_| serde_json::json!({ "$erlang": Syntax::Erlang.display(value).to_string() }))
        .serialize(serializer)
}

fn read_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Term>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    value.map(|value| json::from_value(&value).map_err(D::Error::custom)).transpose()
}

impl Pmap {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let written = Syntax::detect_call(&self.call);
        let template = template(&self.call, written)?;
        let shown = match settings.format() {
            Format::Erlang => Syntax::Erlang,
            Format::Elixir => Syntax::Elixir,
            Format::Text | Format::Json | Format::JsonLines => written,
        };
        let run = BulkRun {
            items: ItemSource { arguments: Vec::new(), file: Some(self.items), format: self.items_format },
            header: Header::new("pmap", call_text(&template), self.items_format),
            out: &self.out,
            syntax: shown,
            none: Failure::usage("there are no items").hint("give them with --items FILE, or - for the standard input"),
            noun: "items",
        };
        let called = called(&template);
        let begin = async |items| {
            let workers = WorkerNodes::assemble(settings, &self.peers, None).await?;
            Ok(Work {
                answers: workers.map(items, filled(template), &self.work, called, shown),
                workers: Some(workers),
            })
        };
        let record = |answer: Answer<Result<Term, ItemError>>| {
            let node = answer.node.as_ref().map(ToString::to_string);
            let (value, error, unanswered) = match answer.result {
                Ok(value) => (Some(value), None, false),
                Err(error) => (None, Some(error.message), error.is_unanswered),
            };
            let ms = u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX);
            ItemRecord { item: answer.item.name, value, node, ms, error, unanswered }
        };
        bulk_run::run(run, output, begin, record).await
    }
}

fn template(call: &str, syntax: Syntax) -> Result<Template, Failure> {
    let hint = "write 'module:function(_)' or 'Module.function(_)', with _ for the item";
    let template = syntax.parse_template(call).map_err(|error| {
        Failure::usage(format!("{call:?} is not a call: {} at column {}", error.message(), error.column())).hint(hint)
    })?;
    match template.has_hole() {
        true => Ok(template),
        false => Err(Failure::usage(format!("{call:?} has no place for the item")).hint(hint)),
    }
}
