//! What goes wrong on demand.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 403.
    Forbidden,
    /// 401.
    Unauthorized,
    /// 404, as for a group that nobody serves.
    NotFound,
    /// 410 on every page but the first, until the list starts anew without paging; `token`: with a token that goes on
    /// inconsistently, which is then honoured.
    Expired {
        /// Whether the answer has that token.
        token: bool,
    },
    /// 429 with `Retry-After`.
    TooManyRequests {
        /// Seconds.
        retry_after: u32,
    },
    /// 500.
    Internal,
    /// 503.
    Unavailable,
    /// Never answers.
    Hang,
    /// Closes the connection in the middle of the body.
    CloseMidBody,
    /// Half of the JSON, with a length that says so.
    TruncatedJson,
    /// Sends the body in small pieces with pauses.
    Trickle,
    /// 406 wherever protobuf is asked for first, whatever else is accepted.
    NotAcceptable,
    /// Serves JSON only, as for custom kinds: negotiates, and answers 406 if nothing else is accepted.
    NoProtobuf,
    /// Protobuf whose envelope is right and whose objects are not.
    GarbageProtobuf,
}

/// A trouble and where it happens.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(crate) trouble: Trouble,
    path: String,
    prefix: bool,
    from: usize,
    times: usize,
}

impl Fault {
    /// On one path, without query.
    pub fn at(path: &str, trouble: Trouble) -> Self {
        Self { trouble, path: path.to_owned(), prefix: false, from: 0, times: usize::MAX }
    }

    /// On every path with that start.
    pub fn under(path: &str, trouble: Trouble) -> Self {
        Self { prefix: true, ..Self::at(path, trouble) }
    }

    /// Not for the first `requests` on a path.
    #[must_use]
    pub const fn after(mut self, requests: usize) -> Self {
        self.from = requests;
        self
    }

    /// At most that often on a path.
    #[must_use]
    pub const fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Whether it strikes the request that is number `earlier` (from 0) on this path.
    pub(crate) fn strikes(&self, path: &str, earlier: usize) -> bool {
        (self.path == path || self.prefix && path.starts_with(&self.path))
            && earlier.checked_sub(self.from).is_some_and(|index| index < self.times)
    }
}
