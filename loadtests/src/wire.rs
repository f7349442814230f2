//! The little of HTTP/1.1 that the generator and the upstream of the load tests need: where a head ends, and how long
//! the body behind it is. A body without `Content-Length` is refused, so that neither measures half an answer.

use anyhow::{Context as _, ensure};

/// Bytes of one read: an answer of the load tests without a large body, and more.
pub const READ_BYTES: usize = 64 * 1024;
/// Longest head that is taken.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Length of the head at the start of `bytes`, the empty line included; `None` while there is more to come.
pub fn head_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    ensure!(end.unwrap_or(bytes.len()) <= HEAD_BYTES_MAX, "a head of more than {HEAD_BYTES_MAX} bytes");
    Ok(end)
}

/// The value of `Content-Length` in a head; `None` without it. An error for a body in chunks.
pub fn content_length(head: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        if let Some(value) = field(line, b"content-length:") {
            let value = std::str::from_utf8(value).context("a length that is no text")?;
            length = Some(value.trim().parse().context("a length that is no number")?);
        }
        ensure!(field(line, b"transfer-encoding:").is_none(), "a body in chunks");
    }
    Ok(length)
}

/// Whether a head says that nothing follows on its connection.
pub fn is_last(head: &[u8]) -> bool {
    let mut said = head.split(|byte| *byte == b'\n').filter_map(|line| field(line, b"connection:"));
    said.any(|value| value.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The status code of an answer's head.
pub fn status(head: &[u8]) -> anyhow::Result<u16> {
    let digits = head.get(9..12).context("an answer without a status")?;
    std::str::from_utf8(digits)?.parse().context("a status that is no number")
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_the_empty_line() {
        let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody";
        assert_eq!(head_length(head).expect("short"), Some(head.len() - 4));
        assert_eq!(head_length(b"HTTP/1.1 200 OK\r\nA: b\r\n").expect("short"), None);
        assert!(head_length(&[b'a'; HEAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn lengths_are_found_in_any_spelling_and_chunks_are_refused() {
        let length = |head: &str| content_length(head.as_bytes());
        assert_eq!(length("HTTP/1.1 200 OK\r\ncontent-LENGTH: 256\r\n\r\n").expect("a length"), Some(256));
        assert_eq!(length("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("none"), None);
        assert!(length("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(length("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
    }

    #[test]
    fn the_last_answer_of_a_connection_says_so() {
        assert!(is_last(b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: Close\r\n\r\n"));
        assert!(!is_last(b"HTTP/1.1 200 OK\r\nA: connection: close\r\n\r\n"));
    }

    #[test]
    fn the_status_stands_behind_the_version() {
        assert_eq!(status(b"HTTP/1.1 401 Unauthorized\r\n\r\n").expect("a status"), 401);
        assert!(status(b"HTTP/1.1").is_err());
    }
}
