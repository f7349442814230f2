//! When a node's certificate is due for renewal.
//!
//! The request is sent over the stream. The stream was opened with the present certificate, so only the holder of the private
//! key can renew it. The key stays the same. A node gets a new key by enrolling again.

use std::time::{Duration, SystemTime};

use x509_parser::pem::parse_x509_pem;

/// A request without an answer is repeated after this time.
pub(super) const RETRY: Duration = Duration::from_secs(60);

/// The files with a pinned certificate are looked at this often.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The time from `now` until two thirds of the certificate's life are over; zero if they are over already. `None` when the
/// certificate cannot be read.
pub(super) fn due_in(certificate_pem: &str, now: SystemTime) -> Option<Duration> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    let due = from.checked_add(until.checked_sub(from)? / 3 * 2)?;
    let due = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(due).ok()?))?;
    Some(due.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn is_due_after_two_thirds_of_its_life() {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 4);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        let day = Duration::from_secs(86_400);
        let made: SystemTime = date_time_ymd(2030, 1, 1).into();
        assert_eq!(due_in(&pem, made), Some(2 * day));
        assert_eq!(due_in(&pem, made + day), Some(day));
        assert_eq!(due_in(&pem, made + 3 * day), Some(Duration::ZERO), "expired: at once");
        assert_eq!(due_in("-----BEGIN CERTIFICATE-----", made), None);
    }
}
