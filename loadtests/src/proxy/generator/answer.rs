//! Reads one answer from pieces of bytes, and checks it.

use anyhow::{Context as _, ensure};

use crate::{
    proxy::requests::Expected,
    wire::{content_length, head_length, is_last, status},
};

/// The answer that a connection waits for.
#[derive(Debug, Default)]
pub struct Answer {
    /// What has come of the head. Its memory serves all answers of a connection.
    head: Vec<u8>,
    /// Bytes of the body that are to come; `None` within the head.
    left: Option<usize>,
    is_last: bool,
}

impl Answer {
    /// Ready for the next answer.
    pub fn clear(&mut self) {
        self.head.clear();
        self.left = None;
        self.is_last = false;
    }

    /// Whether it says that nothing follows on its connection.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Takes the next bytes; true when the answer is complete. An error unless it is as expected.
    pub fn take(&mut self, bytes: &[u8], expected: Expected) -> anyhow::Result<bool> {
        let left = match self.left {
            Some(left) => left.checked_sub(bytes.len()),
            None => {
                self.head.extend_from_slice(bytes);
                let Some(end) = head_length(&self.head)? else { return Ok(false) };
                let head = self.head.get(..end).unwrap_or_default();
                let status = status(head)?;
                ensure!(status == expected.status, "answered {status}");
                self.is_last = is_last(head);
                let found = content_length(head)?.context("an answer without a length")?;
                let length = expected.length;
                ensure!(found == length, "an answer of {found} bytes instead of {length}");
                length.checked_sub(self.head.len() - end)
            }
        };
        self.left = Some(left.context("more than the answer")?);
        Ok(self.left == Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";

    #[test]
    fn an_answer_is_complete_with_its_last_byte_however_it_is_cut() {
        for size in 1..=ANSWER.len() {
            let mut answer = Answer::default();
            for _ in 0..2 {
                answer.clear();
                let pieces: Vec<_> =
                    ANSWER.chunks(size).map(|piece| answer.take(piece, Expected::ok(5))).collect();
                let complete: Vec<bool> =
                    pieces.into_iter().collect::<Result<_, _>>().expect("the right answer");
                assert_eq!(complete.iter().filter(|complete| **complete).count(), 1);
                assert_eq!(complete.last(), Some(&true));
            }
        }
    }

    #[test]
    fn wrong_answers_are_errors() {
        let take = |bytes: &[u8], length| Answer::default().take(bytes, Expected::ok(length));
        assert!(take(ANSWER, 4).is_err());
        assert!(take(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", 1).is_err());
        assert!(take(b"HTTP/1.1 200 OK\r\n\r\n", 0).is_err());
        let refused = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        assert!(take(refused, 0).is_err());
        assert!(Answer::default().take(refused, Expected { status: 401, length: 0 }).is_ok());
    }
}
