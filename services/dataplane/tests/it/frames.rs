//! Frames of HTTP/2 (RFC 9113), byte by byte, for tests that send what no library would.

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What a client begins a connection with: the preface, and its settings as pairs of an id and a value.
pub fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    let settings: Vec<u8> = settings.iter().flat_map(pair).collect();
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &settings)].concat()
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The stream that a client opens after `number` others.
pub fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// Headers in HPACK, each as a literal that is not indexed (RFC 7541, section 6.2.2), so that any bytes can be sent.
pub fn hpack<T: AsRef<[u8]>>(headers: &[(T, T)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            // An integer with a prefix of 7 bits (section 5.1).
            match text.len().checked_sub(127) {
                None => block.push(text.len() as u8),
                Some(mut rest) => {
                    block.push(127);
                    while rest >= 128 {
                        block.push(rest as u8 | 128);
                        rest >>= 7;
                    }
                    block.push(rest as u8);
                }
            }
            block.extend_from_slice(text);
        }
    }
    block
}

/// The headers of a request for `path`.
pub fn request(method: &str, path: &str) -> Vec<u8> {
    hpack(&[(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)])
}
