//! What headers tell of a trace: those of the W3C (Trace Context, level 1) and of Zipkin (B3).

use gateway_model::plugin::opentelemetry::Format;
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// A trace, as a message tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// Whether it is recorded; `None`: nothing is said.
    pub sampled: Option<bool>,
}

/// What `headers` tell of a trace, and in which format. What is not valid tells nothing.
pub fn extract(headers: &HeaderMap) -> Option<(Format, Context)> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    if let Some(context) = text(&TRACEPARENT).and_then(w3c) {
        return Some((Format::W3c, context));
    }
    if let Some(context) = text(&B3).and_then(b3_single) {
        return Some((Format::B3Single, context));
    }
    let (trace, span) = (trace(text(&B3_TRACE)?)?, id(text(&B3_SPAN)?)?);
    let sampled = match (text(&B3_FLAGS), text(&B3_SAMPLED)) {
        (Some("1"), _) | (_, Some("1" | "true")) => Some(true),
        (_, Some("0" | "false")) => Some(false),
        _ => None,
    };
    Some((Format::B3, Context { trace, span, sampled }))
}

/// Tells of `context` in `headers`, by `format`.
pub fn inject(headers: &mut HeaderMap, format: Format, context: &Context) {
    let (trace, span) = (hex::encode(context.trace), hex::encode(context.span));
    let is_sampled = context.sampled == Some(true);
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    match format {
        Format::W3c => set(TRACEPARENT, format!("00-{trace}-{span}-0{}", u8::from(is_sampled))),
        Format::B3Single => set(B3, format!("{trace}-{span}-{}", u8::from(is_sampled))),
        Format::B3 => {
            set(B3_TRACE, trace);
            set(B3_SPAN, span);
            set(B3_SAMPLED, u8::from(is_sampled).to_string());
            headers.remove(B3_PARENT);
            headers.remove(B3_FLAGS);
        }
    }
}

/// Removes all that tells of a trace.
pub fn remove(headers: &mut HeaderMap) {
    for name in [TRACEPARENT, TRACESTATE, B3, B3_TRACE, B3_SPAN, B3_PARENT, B3_SAMPLED, B3_FLAGS] {
        headers.remove(name);
    }
}

fn w3c(text: &str) -> Option<Context> {
    let mut parts = text.trim().split('-');
    let (version, trace_id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_known = version == "00" && parts.next().is_none();
    if version.len() != 2 || version == "ff" || !(is_known || version != "00") || flags.len() != 2 {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    // A trace's id is always written whole here.
    let trace = trace(trace_id).filter(|_| trace_id.len() == 32)?;
    Some(Context { trace, span: id(span)?, sampled: Some(flags & 1 == 1) })
}

fn b3_single(text: &str) -> Option<Context> {
    let mut parts = text.trim().split('-');
    let (trace, span) = (trace(parts.next()?)?, id(parts.next()?)?);
    let sampled = match parts.next() {
        Some("1" | "d") => Some(true),
        Some("0") => Some(false),
        _ => None,
    };
    Some(Context { trace, span, sampled })
}

/// The id of a trace; a short one of Zipkin's is filled up with zeros.
fn trace(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    let at = 16_usize.checked_sub(text.len() / 2)?;
    hex::decode_to_slice(text, id.get_mut(at..)?).ok()?;
    Some(id).filter(|id| [16, 32].contains(&text.len()) && *id != [0; 16])
}

fn id(text: &str) -> Option<[u8; 8]> {
    let mut id = [0; 8];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id).filter(|id| *id != [0; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn traces_are_read_and_written_in_each_format() {
        let sampled = |given: &[(&'static str, &str)]| {
            let (format, context) = extract(&headers(given))?;
            assert_eq!(
                (hex::encode(context.trace).as_str(), hex::encode(context.span).as_str()),
                (TRACE, SPAN)
            );
            Some((format, context.sampled))
        };
        let w3c = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
        assert_eq!(sampled(&[("traceparent", &w3c("01"))]), Some((Format::W3c, Some(true))));
        assert_eq!(sampled(&[("traceparent", &w3c("00"))]), Some((Format::W3c, Some(false))));
        let single = |flag: &str| format!("{TRACE}-{SPAN}{flag}");
        assert_eq!(sampled(&[("b3", &single(""))]), Some((Format::B3Single, None)));
        assert_eq!(sampled(&[("b3", &single("-0-05e3ac9a4f6e3b90"))]), Some((Format::B3Single, Some(false))));
        let several = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "1")];
        assert_eq!(sampled(&several), Some((Format::B3, Some(true))));
        for format in [Format::W3c, Format::B3, Format::B3Single] {
            let (_, context) = extract(&headers(&several)).unwrap();
            let mut told = HeaderMap::new();
            inject(&mut told, format, &context);
            assert_eq!(extract(&told), Some((format, context)));
            remove(&mut told);
            assert!(told.is_empty());
        }
    }

    #[test]
    fn what_is_not_valid_tells_nothing() {
        let zeros = "0".repeat(32);
        for value in [
            "",
            "00",
            TRACE,
            &format!("00-{zeros}-{SPAN}-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("00-{TRACE}-{SPAN}-01-x"),
            &format!("00-{TRACE}-{SPAN}-1"),
            &format!("00-{TRACE}-{SPAN}-zz"),
            &format!("00-{}-{SPAN}-01", &TRACE[16..]),
        ] {
            assert_eq!(extract(&headers(&[("traceparent", value)])), None, "{value}");
        }
        let (_, short) = extract(&headers(&[("b3", &format!("{}-{SPAN}", &TRACE[16..]))])).unwrap();
        assert_eq!(hex::encode(short.trace), format!("{}{}", "0".repeat(16), &TRACE[16..]));
    }
}
