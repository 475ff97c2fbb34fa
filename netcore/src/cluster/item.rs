//! One object of a list, still encoded.

use super::wire::Lean;

/// How an object's bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON text.
    Json,
    /// Kubernetes' protobuf, without the `k8s\0` envelope.
    Protobuf,
}

/// One object as a server or a file holds it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// How `bytes` is encoded.
    pub encoding: Encoding,
    /// The object.
    pub bytes: &'a [u8],
}

/// An object that could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Broken JSON, or a field of another type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Broken protobuf.
    #[error("{0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Protobuf for a kind that has no lean message.
    #[error("protobuf for a kind that is only read as JSON")]
    OnlyJson,
}

impl<'a> Item<'a> {
    /// An object in JSON.
    pub const fn json(bytes: &'a [u8]) -> Self {
        Self { encoding: Encoding::Json, bytes }
    }

    /// An object in protobuf.
    pub const fn protobuf(bytes: &'a [u8]) -> Self {
        Self { encoding: Encoding::Protobuf, bytes }
    }

    /// The few fields of a large kind, from either encoding.
    pub fn lean<T: Lean>(&self) -> Result<T, DecodeError> {
        match self.encoding {
            Encoding::Json => Ok(serde_json::from_slice(self.bytes)?),
            Encoding::Protobuf => Ok(T::decode(self.bytes)?),
        }
    }

    /// The whole object of a small kind.
    pub fn value(&self) -> Result<serde_json::Value, DecodeError> {
        match self.encoding {
            Encoding::Json => Ok(serde_json::from_slice(self.bytes)?),
            Encoding::Protobuf => Err(DecodeError::OnlyJson),
        }
    }
}

/// How the reading of something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// Everything was read (perhaps nothing is there).
    Complete,
    /// The cluster has no such kind, object or path.
    Absent,
    /// Could not be read; why.
    Unreadable(String),
    /// Only a part could be read; why.
    Partial(String),
}

impl ReadStatus {
    /// The reason for a kind, object or answer that a recording or dump does not hold.
    pub const NOT_RECORDED: &str = "not recorded";

    /// What a recording or dump does not hold: the cluster may have it or not.
    pub fn not_recorded() -> Self {
        Self::Unreadable(Self::NOT_RECORDED.to_owned())
    }

    /// Whether it is just that: no file holds it.
    pub fn is_unrecorded(&self) -> bool {
        matches!(self, Self::Unreadable(reason) if reason == Self::NOT_RECORDED)
    }
}
