//! Results as files.

use serde::Serialize;

use super::job::{JobHead, Update};
use super::row::Row;

/// The results as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Results<'a> {
    /// The job as a whole.
    pub(crate) job: &'a JobHead,
    /// Its rows, in the order of the URLs.
    pub(crate) rows: &'a [Row],
}

/// The results as CSV, for a spreadsheet.
pub(crate) fn csv(update: &Update) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to a vector cannot fail.
    let _ = writer.write_record(["url", "sha256", "error", "status", "bytes", "node", "ms"]);
    for row in &update.rows {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| harmless(text.as_deref().unwrap_or_default());
        let cells = [
            harmless(&row.url),
            text(&row.sha256),
            text(&row.error),
            number(row.status.map(u64::from)),
            number(row.bytes),
            text(&row.node),
            number(row.ms),
        ];
        let _ = writer.write_record(cells);
    }
    writer.into_inner().unwrap_or_default()
}

/// Escapes text that a spreadsheet would evaluate as a formula.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::ChecksumRecord;
    use crate::web::job::Job;
    use crate::web::urls::Urls;

    #[test]
    fn no_cell_is_a_formula() {
        let job = Job::new("j".to_owned(), "n@h", Urls::parse("http://a/?\"x\",http://b").unwrap());
        for (index, error) in ["=HYPERLINK(\"http://evil\")", "@SUM(1)"].into_iter().enumerate() {
            job.finish(index as u32, ChecksumRecord::failed("", error));
        }
        job.end();
        let text = String::from_utf8(csv(&job.update(0, 10))).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "url,sha256,error,status,bytes,node,ms");
        assert_eq!(lines[1], "\"http://a/?\"\"x\"\"\",,\"'=HYPERLINK(\"\"http://evil\"\")\",,,,0");
        assert_eq!(lines[2], "http://b,,'@SUM(1),,,,0");
        for text in ["+1", "-1", "\tx", "\rx"] {
            assert!(harmless(text).starts_with('\''));
        }
        assert_eq!(harmless("no answer"), "no answer");
    }
}
