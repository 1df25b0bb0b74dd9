//! The sender of a request, and its rights.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::{ConnectInfo, FromRequestParts};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;

use super::html::Frame;
use super::problem::Problem;
use super::rate::Rate;
use super::session::{Session, Visitor};
use super::site::Site;
use crate::http::Access;

/// The sender of a request.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    /// The session, if there is one.
    pub(crate) session: Option<Session>,
    /// The rights.
    pub(crate) rights: Rights,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The `set-cookie` header of a session that begins with this request.
    pub(crate) kept: Option<HeaderValue>,
    headers: HeaderMap,
}

/// The rights of a requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The login form only.
    Anonymous,
    /// Everything on the page; changes require a form of the session.
    Member,
    /// Everything: a program that sends the token, which no other site can make a browser send.
    Program,
}

impl FromRequestParts<Arc<Site>> for Requester {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let client = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let headers = &parts.headers;
        let session = site.sessions.of(headers, SystemTime::now());
        let is_member = session.as_ref().is_some_and(|session| session.visitor == Visitor::Member);
        let rights = match &site.access {
            Access::ThisHost => Rights::Member,
            Access::Token(token) if token.is_borne_by(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)) => {
                Rights::Program
            }
            Access::Token(_) if is_member => Rights::Member,
            Access::Token(_) => Rights::Anonymous,
        };
        Ok(Self { session, rights, client, kept: None, headers: headers.clone() })
    }
}

impl Requester {
    /// The request's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether the requester may see the page.
    pub(crate) fn is_admitted(&self) -> bool {
        self.rights != Rights::Anonymous
    }

    /// The session, which begins now if there is none: forms need one.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn begin_session(&mut self, site: &Site) -> Result<&Session, Problem> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let begun = site.sessions.begin(Visitor::Anonymous, SystemTime::now());
                let session =
                    begun.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
                self.kept = Some(site.sessions.keep(&session));
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// The token for forms of the session.
    pub(crate) fn form_token(&self, site: &Site) -> Option<String> {
        self.session.as_ref().map(|session| site.sessions.form_token(session))
    }

    /// Checks that a form belongs to the session.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn check_form(&self, site: &Site, token: &str) -> Result<(), Problem> {
        let is_own =
            self.session.as_ref().is_some_and(|session| site.sessions.is_form_token(session, token, SystemTime::now()));
        match is_own {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "This form is none of your session: it is too old, was sent by another site, or your browser keeps no \
                 cookies. Go back, load the page anew, and send it again.",
            )),
        }
    }

    /// Counts a rate-limited action.
    ///
    /// # Errors
    /// If the client must wait.
    pub(crate) fn take(&self, rate: &Rate, what: &str) -> Result<(), Problem> {
        rate.take(self.client, Instant::now()).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                &format!("Too many {what} from your address: try again in {seconds} s."),
            )
            .retry_after(seconds)
        })
    }

    /// The frame of a page for this requester.
    pub(crate) fn frame<'a>(&self, site: &'a Site, title: &'a str, form_token: Option<&'a str>) -> Frame<'a> {
        let can_log_out = matches!(site.access, Access::Token(_)) && self.rights == Rights::Member;
        let is_shown = self.is_admitted() && site.node.port() != 0;
        let node = if is_shown { site.name.as_str() } else { "" };
        Frame { title, node, form_token, can_log_out, events: None, refresh: None }
    }

    /// Adds the cookie of a new session to an answer.
    pub(crate) fn keep(self, mut response: axum::response::Response) -> axum::response::Response {
        if let Some(kept) = self.kept {
            response.headers_mut().append(SET_COOKIE, kept);
        }
        response
    }
}
