//! Sessions of visitors: signed, and stored only in the visitor's browser, so that all web nodes of a cluster accept
//! them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum_extra::extract::CookieJar;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderMap, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Whether cookies are restricted to HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// They are.
    Https,
    /// They are also sent by HTTP.
    Http,
}

/// The owner of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// A visitor who has not sent the token.
    Anonymous,
    /// A visitor who has.
    Member,
}

/// A session of a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// Who has it.
    pub(crate) visitor: Visitor,
    expires: u64,
    nonce: String,
}

/// The purpose that is signed.
const SESSION: &[u8] = b"session";
const FORM: &[u8] = b"form";

/// Signs sessions, and verifies them.
#[derive(Clone)]
pub(crate) struct Sessions {
    key: [u8; 32],
    transport: Transport,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions(..)")
    }
}

impl Sessions {
    /// How long a session lasts: a working day.
    pub(crate) const AGE: Duration = Duration::from_secs(12 * 3600);

    /// Sessions of a cluster with this cookie, and of pages with this token digest. They expire when either changes.
    pub(crate) fn new(cookie: &[u8], token: Option<&[u8; 32]>, transport: Transport) -> Self {
        let token = token.map_or(&[][..], |token| &token[..]);
        Self { key: mac(cookie, &[b"peerl web sessions 1", token]), transport }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn begin(&self, visitor: Visitor, now: SystemTime) -> Result<Session, getrandom::Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        Ok(Session { visitor, expires: seconds(now).saturating_add(Self::AGE.as_secs()), nonce: hex(&nonce) })
    }

    /// The valid session of a request, if there is one.
    pub(crate) fn of(&self, headers: &HeaderMap, now: SystemTime) -> Option<Session> {
        let jar = CookieJar::from_headers(headers);
        self.signed(SESSION, jar.get(self.name())?.value(), now)
    }

    /// The session in a text that is signed for this purpose, unless it has expired.
    fn signed(&self, purpose: &[u8], signed: &str, now: SystemTime) -> Option<Session> {
        let (text, signature) = signed.rsplit_once('.')?;
        let is_signed: bool = self.sign(purpose, text).as_bytes().ct_eq(signature.as_bytes()).into();
        if !is_signed {
            return None;
        }
        let mut parts = text.split('.');
        let expires = parts.next()?.parse().ok().filter(|expires| *expires > seconds(now))?;
        let visitor = match parts.next()? {
            "member" => Visitor::Member,
            _ => Visitor::Anonymous,
        };
        Some(Session { visitor, expires, nonce: parts.next()?.to_owned() })
    }

    /// The `set-cookie` header that stores a session.
    pub(crate) fn keep(&self, session: &Session) -> HeaderValue {
        self.cookie(&self.text_signed(SESSION, session), Self::AGE)
    }

    /// The `set-cookie` header that removes a session.
    pub(crate) fn forget(&self) -> HeaderValue {
        self.cookie("", Duration::ZERO)
    }

    /// The token in the forms of a session; other sites cannot know it.
    pub(crate) fn form_token(&self, session: &Session) -> String {
        self.text_signed(FORM, session)
    }

    /// Whether a form belongs to this session.
    ///
    /// All anonymous sessions of a browser count as one: a browser that opens several pages at once gets a session
    /// for each, and keeps the last one.
    pub(crate) fn is_form_token(&self, session: &Session, token: &str, now: SystemTime) -> bool {
        let both_anonymous = |of: &Session| of.visitor == session.visitor && of.visitor == Visitor::Anonymous;
        self.signed(FORM, token, now).is_some_and(|of| of == *session || both_anonymous(&of))
    }

    fn text_signed(&self, purpose: &[u8], session: &Session) -> String {
        let text = session.text();
        let signature = self.sign(purpose, &text);
        format!("{text}.{signature}")
    }

    fn sign(&self, purpose: &[u8], text: &str) -> String {
        hex(&mac(&self.key, &[purpose, b"\0", text.as_bytes()]))
    }

    /// The prefix keeps other hosts of the domain from setting it.
    fn name(&self) -> &'static str {
        match self.transport {
            Transport::Https => "__Host-peerl",
            Transport::Http => "peerl",
        }
    }

    fn cookie(&self, value: &str, age: Duration) -> HeaderValue {
        let (name, age) = (self.name(), age.as_secs());
        let secure = if self.transport == Transport::Https { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        // The text is ASCII.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl Session {
    fn text(&self) -> String {
        let visitor = match self.visitor {
            Visitor::Anonymous => "anonymous",
            Visitor::Member => "member",
        };
        format!("{}.{visitor}.{}", self.expires, self.nonce)
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // Any key length is valid.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use hyper::header::COOKIE;

    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(b"cookie", Some(&[7; 32]), Transport::Http)
    }

    fn headers(kept: &HeaderValue) -> HeaderMap {
        let pair = kept.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("other=1; {pair}")).unwrap())])
    }

    #[test]
    fn a_session_lasts_until_it_ends() {
        let (sessions, now) = (sessions(), SystemTime::now());
        let session = sessions.begin(Visitor::Member, now).unwrap();
        let request = headers(&sessions.keep(&session));
        assert_eq!(self::sessions().of(&request, now), Some(session.clone()), "at another web node of the cluster");
        assert_eq!(sessions.of(&request, now + Sessions::AGE), None);
    }

    #[test]
    fn a_form_is_of_a_session() {
        let (sessions, now) = (sessions(), SystemTime::now());
        let [member, other] = [(); 2].map(|()| sessions.begin(Visitor::Member, now).unwrap());
        let [anonymous, second] = [(); 2].map(|()| sessions.begin(Visitor::Anonymous, now).unwrap());
        let fits = |session, of| sessions.is_form_token(session, &sessions.form_token(of), now);
        assert!(fits(&member, &member) && !fits(&member, &other));
        assert!(fits(&anonymous, &anonymous) && fits(&anonymous, &second), "of pages that were opened at once");
        assert!(!fits(&member, &anonymous) && !fits(&anonymous, &member));
        let token = sessions.form_token(&anonymous);
        assert!(!sessions.is_form_token(&anonymous, &token, now + Sessions::AGE));
        let kept = sessions.keep(&anonymous);
        let cookie = kept.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
        for forged in ["", cookie, &token.replace("anonymous", "member"), &token[1..]] {
            assert!(!sessions.is_form_token(&anonymous, forged, now), "{forged}");
        }
    }

    #[test]
    fn what_is_not_signed_is_no_session() {
        let (sessions, now) = (sessions(), SystemTime::now());
        let session = sessions.begin(Visitor::Anonymous, now).unwrap();
        let kept = sessions.keep(&session);
        for forged in [
            kept.to_str().unwrap().replace("anonymous", "member"),
            kept.to_str().unwrap().replacen("=", "=9", 1),
            "peerl=".to_owned(),
            "peerl=...".to_owned(),
            "peerl=99999999999.member.0.".to_owned(),
        ] {
            assert_eq!(sessions.of(&headers(&HeaderValue::from_str(&forged).unwrap()), now), None, "{forged}");
        }
        assert_eq!(sessions.of(&HeaderMap::new(), now), None);
        for other in [
            Sessions::new(b"cookie", None, Transport::Http),
            Sessions::new(b"cookie", Some(&[8; 32]), Transport::Http),
            Sessions::new(b"other", Some(&[7; 32]), Transport::Http),
            Sessions::new(b"cookie", Some(&[7; 32]), Transport::Https),
        ] {
            assert_eq!(other.of(&headers(&kept), now), None);
        }
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let session = sessions().begin(Visitor::Member, SystemTime::now()).unwrap();
        let plain = sessions().keep(&session);
        let plain = plain.to_str().unwrap();
        assert!(plain.starts_with("peerl=") && plain.contains("HttpOnly") && plain.contains("SameSite=Lax"), "{plain}");
        assert!(!plain.contains("Secure"));
        let secure = Sessions::new(b"cookie", None, Transport::Https).keep(&session);
        let secure = secure.to_str().unwrap();
        assert!(secure.starts_with("__Host-peerl=") && secure.ends_with("; Secure"), "{secure}");
        assert!(sessions().forget().to_str().unwrap().contains("Max-Age=0"));
    }
}
