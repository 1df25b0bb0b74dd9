//! The frame of all pages.

use maud::{DOCTYPE, Markup, html};

use crate::web::assets;

/// The frame of a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frame<'a> {
    /// The title.
    pub(crate) title: &'a str,
    /// The node that serves the page.
    pub(crate) node: &'a str,
    /// The form token of the session, if there is one.
    pub(crate) form_token: Option<&'a str>,
    /// Whether the visitor can log out.
    pub(crate) can_log_out: bool,
    /// The address of the page's event stream.
    pub(crate) events: Option<&'a str>,
    /// After how many seconds a browser without script reloads the page.
    pub(crate) refresh: Option<u32>,
}

impl Frame<'_> {
    /// The page with this content.
    pub(crate) fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · peerl" }
                    link rel="icon" type="image/svg+xml" href=(assets::ICON.path());
                    link rel="stylesheet" href=(assets::STYLE.path());
                    @if let Some(seconds) = self.refresh {
                        noscript { meta http-equiv="refresh" content=(seconds); }
                    }
                    script src=(assets::SCRIPT.path()) defer {}
                }
                body data-events=[self.events] {
                    a .skip href="#main" { "Skip to the content" }
                    header .top {
                        a .brand href="/" { img src=(assets::ICON.path()) alt="" width="24" height="24"; "peerl" }
                        @if !self.node.is_empty() { span .at { "at " code { (self.node) } } }
                        @if let (true, Some(token)) = (self.can_log_out, self.form_token) {
                            form method="post" action="/logout" {
                                input type="hidden" name="form_token" value=(token);
                                button .quiet type="submit" { "Log out" }
                            }
                        }
                    }
                    p #link role="status" hidden {}
                    main #main { (content) }
                }
            }
        }
    }
}

/// The login form.
pub(crate) fn login(frame: Frame<'_>, problem: Option<&str>, next: &str) -> Markup {
    frame.around(&html! {
        section .card.narrow {
            h1 { "Log in" }
            p { "This page lets the nodes of a cluster fetch web pages. The token is in the file that its operator gave with "
                code { "--token-file" } "." }
            @if let Some(problem) = problem { p .problem role="alert" { (problem) } }
            form method="post" action="/login" {
                input type="hidden" name="form_token" value=[frame.form_token];
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required autofocus;
                button type="submit" { "Log in" }
            }
        }
    })
}

/// A page with a message.
pub(crate) fn message(frame: Frame<'_>, heading: &str, lines: &[String]) -> Markup {
    frame.around(&html! {
        section .card.narrow {
            h1 { (heading) }
            @for line in lines { p { (line) } }
            p { a href="/" { "To the start" } }
        }
    })
}
