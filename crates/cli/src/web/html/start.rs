//! The page with the form.

use maud::{Markup, html};

use super::{Frame, Work, cluster, counted, grouped, time};
use crate::web::cluster::Cluster;
use crate::web::job::{JobHead, Phase};
use crate::web::urls::MAX_URLS;

/// A visitor's input, and its errors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draft<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// The errors, one per line.
    pub(crate) problems: &'a [String],
}

/// The page with the form, the latest jobs and the cluster.
pub(crate) fn start(
    frame: Frame<'_>,
    draft: Draft<'_>,
    jobs: &[JobHead],
    running: &[JobHead],
    now: &Cluster,
) -> Markup {
    frame.around(&html! {
        section .card #form {
            h1 { "Checksums of web pages" }
            p .lead { "Nodes of the cluster fetch the pages, and take the SHA-256 sum of each." }
            @if !draft.problems.is_empty() {
                div #problem .problem role="alert" {
                    @for problem in draft.problems { p { (problem) } }
                }
            }
            form method="post" action="/jobs" {
                input type="hidden" name="form_token" value=[frame.form_token];
                label for="urls" { "Web pages" }
                textarea #urls name="urls" rows="8" spellcheck="false" autocapitalize="none" autocomplete="off"
                    placeholder="https://example.org" aria-describedby="urls-hint" required
                    aria-invalid=[(!draft.problems.is_empty()).then_some("true")] { (draft.text) }
                p #urls-hint .hint {
                    "One address a line, or several with commas between them; at most " (grouped(MAX_URLS as u64)) "."
                }
                button type="submit" { "Take checksums" }
            }
        }
        @if !jobs.is_empty() {
            section .card #latest aria-labelledby="jobs-title" {
                h2 #jobs-title { "Latest jobs" }
                ul .jobs { @for job in jobs { (line(job)) } }
            }
        }
        (cluster(now, Work::OfAll(running)))
    })
}

fn line(job: &JobHead) -> Markup {
    let state = match job.phase {
        Phase::Running => "running",
        Phase::Done if job.failed > 0 => "failed",
        Phase::Done => "done",
        Phase::Cancelled => "cancelled",
    };
    html! {
        li data-state=(state) {
            a href=(job.path()) { (counted(job.total, "page", "pages")) }
            span .summary { (job.summary()) }
            (time(job.created_ms))
        }
    }
}
