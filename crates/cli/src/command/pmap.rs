//! `peerl pmap`: any function over many items, spread over the nodes of a cluster.

use std::path::PathBuf;

use clap::Args;
use peerl_node::{CallError, Mfa};
use peerl_term::Term;
use peerl_term::text::{Syntax, Template, json};
use serde::{Deserialize, Serialize};

use crate::explain;
use crate::failure::{Failure, Status};
use crate::fan_out::{Answer, Crew, OutOptions, PeerOptions, WorkOptions, collect, is_unanswered};
use crate::items::{self, Items, ItemsFormat};
use crate::output::{Output, print, table};
use crate::results::{Record, Results};
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

    /// How the items are written.
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
    /// The item, as its format writes it.
    item: String,
    /// The value as JSON, from which the term can be made again.
    value: Option<serde_json::Value>,
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

impl Pmap {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let written = Syntax::detect_call(&self.call);
        let template = template(&self.call, written)?;
        let shown = match settings.format() {
            Format::Erlang => Syntax::Erlang,
            Format::Elixir => Syntax::Elixir,
            Format::Text | Format::Json => written,
        };
        let Items { names, terms } = Items::parse(&items::read(&self.items)?, self.items_format)?;
        if names.is_empty() {
            return Err(
                Failure::usage("there are no items").hint("give them with --items FILE, or - for the standard input")
            );
        }
        let mut results = Results::<ItemRecord>::open(names.iter().map(String::as_str), &self.out)?;
        let missing: Vec<(usize, Term)> =
            results.missing().into_iter().map(|index| (index, terms[index].clone())).collect();
        if results.done() > 0 {
            output.note(&format!("{} of {} were done before", results.done(), names.len()));
        }
        if !missing.is_empty() {
            let crew = Crew::assemble(settings, &self.peers, None).await?;
            let called = format!("{}:{}", template.module(), template.function());
            let call = move |item: &Term| {
                let call = template.fill(item);
                Mfa::with_terms(call.module, call.function, call.arguments)
            };
            let progress = output.progress(missing.len());
            let answers = crew.map(missing, call, &self.work);
            let record = |answer: Answer<Result<Term, CallError>>| {
                let node = answer.node.as_ref().map(ToString::to_string);
                let peer = node.as_deref().unwrap_or("the node");
                let unanswered = answer.result.as_ref().is_err_and(is_unanswered);
                let (value, error) = match answer.result {
                    Ok(value) => (Some(json_of(&value)), None),
                    Err(error) => (None, Some(explain::call(error, &called, peer, shown).message().to_owned())),
                };
                let ms = u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX);
                ItemRecord { item: names[answer.index].clone(), value, node, ms, error, unanswered }
            };
            let collected = collect(answers, record, &mut results, &progress).await;
            crew.node.shutdown().await;
            collected?;
        }
        show(&results.into_records(), shown, output)
    }
}

/// A term as JSON; one that is too deep for that, as a text in it.
fn json_of(value: &Term) -> serde_json::Value {
    json::to_value(value)
        .unwrap_or_else(|_| serde_json::json!({ "$erlang": Syntax::Erlang.display(value).to_string() }))
}

fn template(call: &str, syntax: Syntax) -> Result<Template, Failure> {
    let hint = "write 'module:function(_)' or 'Module.function(_)', with _ for the item";
    let template = syntax.parse_template(call).map_err(|error| {
        Failure::usage(format!("{call:?} is no call: {} at column {}", error.message(), error.column())).hint(hint)
    })?;
    match template.has_hole() {
        true => Ok(template),
        false => Err(Failure::usage(format!("{call:?} has no place for the item")).hint(hint)),
    }
}

/// A row in Erlang or Elixir syntax.
#[derive(Serialize)]
struct TermRow<'a> {
    item: &'a str,
    value: Option<Term>,
    node: Option<&'a str>,
    ms: u64,
    error: Option<&'a str>,
}

fn show(records: &[ItemRecord], syntax: Syntax, output: &Output) -> Result<Status, Failure> {
    let term = |record: &ItemRecord| record.value.as_ref().and_then(|value| json::from_value(value).ok());
    match output.format() {
        Format::Json => output.rows(records, String::new)?,
        Format::Text => {
            let row = |record: &ItemRecord| {
                let value = term(record).map(|term| syntax.display(&term).to_string());
                let node = record.node.clone().unwrap_or_else(|| "-".to_owned());
                vec![
                    record.item.clone(),
                    value.or(record.error.clone()).unwrap_or_default(),
                    node,
                    record.ms.to_string(),
                ]
            };
            print(&table(&["ITEM", "VALUE", "NODE", "MS"], records.iter().map(row)))?;
        }
        Format::Erlang | Format::Elixir => {
            let rows: Vec<TermRow<'_>> = records
                .iter()
                .map(|record| TermRow {
                    item: &record.item,
                    value: term(record),
                    node: record.node.as_deref(),
                    ms: record.ms,
                    error: record.error.as_deref(),
                })
                .collect();
            output.rows(&rows, String::new)?;
        }
    }
    let failed = records.iter().filter(|record| record.has_failed()).count();
    if failed > 0 {
        output.note(&format!("{failed} of {} items failed", records.len()));
        if records.iter().any(|record| !record.is_answered()) {
            output.note("the workers were gone before the end; with --out FILE --resume, a later run does the rest");
        }
        return Ok(Status::Partial);
    }
    Ok(Status::Success)
}
