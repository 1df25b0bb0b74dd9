//! How long the keys of a session last by TLS 1.2.

/// How many records the keys of a session have protected in each direction.
///
/// By TLS 1.2 OTP renegotiates when it has sent its limit of them, and ends the connection of a peer that does not take part, as
/// rustls does not. By TLS 1.3 both change their keys without that.
#[derive(Debug)]
pub(super) struct Wear {
    limit: u64,
    received: u64,
    sent: u64,
}

/// What OTP sends before it renegotiates, if its options do not say less: `renegotiate_at` in the documentation of `ssl`. It is also
/// the most that peerl sends by the same keys.
pub(super) const MOST_RECORDS: u64 = 1 << 28;

/// The most plain text in a record.
const RECORD: usize = 1 << 14;

impl Wear {
    /// Of a session whose peer renegotiates after so many records.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit: limit.min(MOST_RECORDS), received: 0, sent: 0 }
    }

    pub(super) fn received_record(&mut self) {
        self.received += 1;
    }

    /// Plain text has been encrypted.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes.div_ceil(RECORD) as u64;
    }

    /// Whether a quarter of the records or less is left.
    pub(super) fn is_worn(&self) -> bool {
        self.received > self.limit / 4 * 3 || self.sent > MOST_RECORDS / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_left_in_each_direction() {
        let mut wear = Wear::new(400);
        (0..300).for_each(|_| wear.received_record());
        assert!(!wear.is_worn());
        wear.received_record();
        assert!(wear.is_worn());

        let mut wear = Wear::new(u64::MAX);
        wear.sent(1);
        wear.sent(RECORD);
        wear.sent(RECORD + 1);
        assert_eq!(wear.sent, 4);
        wear.sent = MOST_RECORDS / 4 * 3;
        assert!(!wear.is_worn());
        wear.sent(1);
        assert!(wear.is_worn());
    }
}
