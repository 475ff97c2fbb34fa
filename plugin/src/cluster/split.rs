//! What the two list splitters share.

use netcore::cluster::Item;
use serde::Deserialize;

use super::{json::JsonSplitter, protobuf::ProtobufSplitter};

/// No object is larger: etcd takes 1.5 MB unless it is told otherwise.
pub(super) const LARGEST_OBJECT: usize = 64 << 20;

/// A list's `metadata`.
#[derive(Clone, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default)]
pub(super) struct ListMeta {
    /// The token of the next page; empty on the last.
    #[prost(string, tag = "3")]
    #[serde(rename = "continue")]
    pub(super) next: String,
}

/// An answer that is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the answer ends in the middle")]
    Truncated,
    #[error("the answer is not Kubernetes protobuf")]
    NotProtobuf,
    #[error("the answer is not a JSON list: {0}")]
    NotJson(String),
    #[error("the list's metadata can't be read")]
    Metadata,
    #[error("an object is larger than 64 MiB")]
    TooLarge,
}

/// A list in either encoding.
#[derive(Debug)]
pub(super) enum Splitter {
    Json(JsonSplitter),
    Protobuf(ProtobufSplitter),
}

impl Splitter {
    pub(super) fn new(protobuf: bool) -> Self {
        if protobuf { Self::Protobuf(ProtobufSplitter::new()) } else { Self::Json(JsonSplitter::new()) }
    }

    /// Takes the next bytes and hands over every item that they complete.
    pub(super) fn feed(&mut self, chunk: &[u8], each: &mut dyn FnMut(Item<'_>)) -> Result<(), Malformed> {
        match self {
            Self::Json(splitter) => splitter.feed(chunk, each),
            Self::Protobuf(splitter) => splitter.feed(chunk, each),
        }
    }

    /// Whether the answer was there to its end.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match self {
            Self::Json(splitter) => splitter.finish(),
            Self::Protobuf(splitter) => splitter.finish(),
        }
    }

    /// The next page's token, as soon as it is known.
    pub(super) fn next(&self) -> Option<&str> {
        let meta = match self {
            Self::Json(splitter) => splitter.meta.as_ref(),
            Self::Protobuf(splitter) => splitter.meta.as_ref(),
        };
        meta.map(|meta| meta.next.as_str()).filter(|next| !next.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A protobuf list as an API server frames it, made by hand from the format's description.
    fn protobuf(next: &str, items: &[&[u8]]) -> Vec<u8> {
        fn field(out: &mut Vec<u8>, number: u8, payload: &[u8]) {
            out.push(number << 3 | 2);
            prost::encoding::encode_varint(payload.len() as u64, out);
            out.extend_from_slice(payload);
        }
        let mut list = Vec::new();
        field(&mut list, 1, &prost::Message::encode_to_vec(&ListMeta { next: next.to_owned() }));
        for item in items {
            field(&mut list, 2, item);
        }
        let mut out = b"k8s\0".to_vec();
        field(&mut out, 1, b"\x0a\x02v1\x12\x07PodList");
        field(&mut out, 2, &list);
        field(&mut out, 3, b"");
        field(&mut out, 4, b"");
        out
    }

    /// Feeds in pieces of `size` bytes.
    fn split(bytes: &[u8], is_protobuf: bool, size: usize) -> Result<(Vec<Vec<u8>>, Option<String>), Malformed> {
        let mut splitter = Splitter::new(is_protobuf);
        let mut items = Vec::new();
        for chunk in bytes.chunks(size) {
            splitter.feed(chunk, &mut |item| items.push(item.bytes.to_vec()))?;
        }
        splitter.finish()?;
        Ok((items, splitter.next().map(str::to_owned)))
    }

    const JSON: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"tok\"en"},
        "items":[ {"metadata":{"name":"a]}{["}} , {"metadata":{"name":"b\\"},"x":[[{}],{"items":[1]}]},{}
        ]}
"#;

    #[test]
    fn json_is_split_the_same_however_it_arrives() {
        for size in 1..=JSON.len() {
            let (items, next) = split(JSON.as_bytes(), false, size).unwrap();
            assert_eq!(next.as_deref(), Some("tok\"en"), "{size}");
            let texts: Vec<_> = items.iter().map(|i| String::from_utf8_lossy(i).into_owned()).collect();
            assert_eq!(
                texts,
                [r#"{"metadata":{"name":"a]}{["}}"#, r#"{"metadata":{"name":"b\\"},"x":[[{}],{"items":[1]}]}"#, "{}"],
                "{size}"
            );
        }
    }

    #[test]
    fn protobuf_is_split_the_same_however_it_arrives() {
        let long = vec![7_u8; 300];
        let bytes = protobuf("more", &[b"one", b"", &long]);
        for size in 1..=bytes.len() {
            let (items, next) = split(&bytes, true, size).unwrap();
            assert_eq!(items, [b"one".to_vec(), Vec::new(), long.clone()], "{size}");
            assert_eq!(next.as_deref(), Some("more"));
        }
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(split(br#"{"metadata":{},"items":[]}"#, false, 3).unwrap(), (vec![], None));
        assert_eq!(split(br#"{"items":null}"#, false, 3).unwrap(), (vec![], None));
        assert_eq!(split(&protobuf("", &[]), true, 3).unwrap(), (vec![], None));
    }

    #[test]
    fn every_truncation_is_noticed() {
        let whole = JSON.trim_end();
        for length in 0..whole.len() {
            assert_eq!(split(&whole.as_bytes()[..length], false, 9).unwrap_err(), Malformed::Truncated, "{length}");
        }
        let bytes = protobuf("more", &[b"one", b"two"]);
        // The envelope's last two fields are empty; without them the list is still whole.
        for length in 0..bytes.len() - 4 {
            assert_eq!(split(&bytes[..length], true, 9).unwrap_err(), Malformed::Truncated, "{length}");
        }
    }

    #[test]
    fn other_answers_are_named() {
        let error = split(b"<html>log in</html>", false, 100).unwrap_err().to_string();
        assert!(error.contains("starts with \"<html>log in</html>\""), "{error}");
        assert!(matches!(split(br#"{"kind":"Pod","metadata":{}}"#, false, 5), Err(Malformed::NotJson(_))));
        assert!(matches!(split(br#"{"items":[{},3]}"#, false, 5), Err(Malformed::NotJson(_))));
        assert!(matches!(split(br#"{"items":{}}"#, false, 5), Err(Malformed::NotJson(_))));
        assert!(matches!(
            split(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", true, 4),
            Err(Malformed::NotProtobuf)
        ));
        assert_eq!(split(b"{\"items\":[]}", true, 100).unwrap_err(), Malformed::NotProtobuf);
    }
}
