//! The cookie in which a browser keeps the refresh token of a session.
//!
//! Its name begins with `__Host-`: browsers take it over HTTPS only, for this very host only (RFC 6265bis). No script reads it, and it is
//! sent with no request that another site brings about.

use axum::http::{HeaderMap, HeaderValue, header};
use time::Duration;

/// The name of the cookie.
const NAME: &str = "__Host-landbridge-session";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// The header that keeps `text`, which is letters, digits and `_`, for `life`.
pub(super) fn set(text: &str, life: Duration) -> HeaderValue {
    let seconds = life.whole_seconds().max(0);
    let value = format!("{NAME}={text}; {ATTRIBUTES}; Max-Age={seconds}");
    HeaderValue::try_from(value).unwrap_or_else(|_| clear())
}

/// The header that makes a browser forget the cookie.
pub(super) fn clear() -> HeaderValue {
    const CLEAR: &str = "__Host-landbridge-session=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0";
    HeaderValue::from_static(CLEAR)
}

/// The refresh token in the cookies of a request.
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};
    use time::Duration;

    use super::{clear, read, set};

    #[test]
    fn is_kept_by_the_browser_alone() {
        let kept = set("lbr_1_2", Duration::hours(1));
        let expected =
            "__Host-landbridge-session=lbr_1_2; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600";
        assert_eq!(kept, expected);
        assert!(clear().to_str().expect("text").ends_with("Max-Age=0"));
    }

    #[test]
    fn is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers
            .append(header::COOKIE, HeaderValue::from_static("a=b; __Host-landbridge-session=lbr_1_2; c=d"));
        assert_eq!(read(&headers).as_deref(), Some("lbr_1_2"));
        headers.clear();
        headers.append(header::COOKIE, HeaderValue::from_static("landbridge-session=lbr_1_2; a"));
        assert_eq!(read(&headers), None);
    }
}
