//! A reader over JSON text that makes no tree: values are taken one by one into what is wanted of
//! them, strings are borrowed, and anything can be taken as its own text.

use std::borrow::Cow;

/// How deep values may be nested; nft itself goes to about twelve.
const DEPTH: u32 = 64;

/// What could not be read, and where, in bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) at: usize,
    pub(super) reason: &'static str,
    /// Nothing is wrong, it is just not known here.
    pub(super) unknown: bool,
}

/// What reading gives.
pub(super) type Read<T> = Result<T, Fault>;

/// Where the reader is.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// The bytes up to the first that is not UTF-8.
    text: &'a str,
    pub(super) at: usize,
    depth: u32,
    /// What was known and yet not as expected; the text of it was kept instead.
    pub(super) noted: Vec<Fault>,
}

/// How many notes of one reading are kept.
const NOTES: usize = 1000;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
        };
        Self { bytes, text, at: 0, depth: 0, noted: Vec::new() }
    }

    /// Over a text that is known to be UTF-8.
    fn over(text: &'a str) -> Self {
        Self { bytes: text.as_bytes(), text, at: 0, depth: 0, noted: Vec::new() }
    }

    /// A part of the input; nothing where it is not UTF-8.
    fn part(&self, begin: usize, end: usize) -> Option<&'a str> {
        let known = self.text.get(begin..end);
        known.or_else(|| std::str::from_utf8(self.bytes.get(begin..end).unwrap_or_default()).ok())
    }

    /// From another place, at the top.
    pub(super) fn restart(&mut self, at: usize) {
        self.at = at;
        self.depth = 0;
    }

    pub(super) fn fault<T>(&self, reason: &'static str) -> Read<T> {
        Err(Fault { at: self.at, reason, unknown: false })
    }

    pub(super) fn unknown<T>(&self) -> Read<T> {
        Err(Fault { at: self.at, reason: "not known", unknown: true })
    }

    pub(super) fn note(&mut self, fault: Fault) {
        if !fault.unknown && self.noted.len() < NOTES {
            self.noted.push(fault);
        }
    }

    /// The next byte that is not blank, which is not taken.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn expect(&mut self, byte: u8, reason: &'static str) -> Read<()> {
        if self.peek() != Some(byte) {
            return self.fault(if self.at >= self.bytes.len() { "the text ends here, inside a value" } else { reason });
        }
        self.at += 1;
        Ok(())
    }

    fn down(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH { self.fault("values are nested more than 64 deep") } else { Ok(()) }
    }

    /// A string.
    pub(super) fn string(&mut self) -> Read<Cow<'a, str>> {
        self.expect(b'"', "not a string")?;
        let begin = self.at;
        let rest = self.bytes.get(begin..).unwrap_or_default();
        // nearly all are short and plain
        let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')).unwrap_or(rest.len());
        if rest.get(plain) != Some(&b'"') {
            return self.escaped_string(begin);
        }
        self.at = begin + plain + 1;
        match self.part(begin, begin + plain) {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Err(Fault { at: begin, reason: "a string that is not UTF-8", unknown: false }),
        }
    }

    /// A string with a backslash or a control character in it, or no end.
    fn escaped_string(&mut self, begin: usize) -> Read<Cow<'a, str>> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                self.at = begin;
                return self.fault("the text ends inside this string");
            };
            self.at += found + 1;
            if rest.get(found) == Some(&b'"') {
                break;
            }
            self.at += 1;
        }
        let inside = self.bytes.get(begin..self.at - 1).unwrap_or_default();
        if inside.iter().any(|byte| *byte < b' ') {
            return Err(Fault { at: begin, reason: "a control character in a string", unknown: false });
        }
        if std::str::from_utf8(inside).is_err() {
            return Err(Fault { at: begin, reason: "a string that is not UTF-8", unknown: false });
        }
        let quoted = self.bytes.get(begin - 1..self.at).unwrap_or_default();
        match serde_json::from_slice::<String>(quoted) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(Fault { at: begin, reason: "an escape that JSON does not have", unknown: false }),
        }
    }

    /// Each key of an object, with the reader before its value, which must be taken.
    pub(super) fn object(&mut self, mut take: impl FnMut(&mut Self, Cow<'a, str>) -> Read<()>) -> Read<()> {
        self.expect(b'{', "not an object")?;
        self.down()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let key = self.string()?;
                self.expect(b':', "a colon follows a key")?;
                take(self, key)?;
                if self.peek() == Some(b',') {
                    self.at += 1;
                    continue;
                }
                self.expect(b'}', "a comma or a closing brace follows a value")?;
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Each value of a list, with the reader before it, which must be taken.
    pub(super) fn list(&mut self, mut take: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'[', "not a list")?;
        self.down()?;
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                take(self)?;
                if self.peek() == Some(b',') {
                    self.at += 1;
                    continue;
                }
                self.expect(b']', "a comma or a closing bracket follows a value")?;
                break;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// The text of a number, `true`, `false` or `null`.
    pub(super) fn word(&mut self) -> Read<&'a str> {
        self.peek();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')));
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let text = self.part(self.at, self.at + word.len()).unwrap_or_default();
        let whole = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && !digits.is_empty()
                && (digits.len() == 1 || !digits.starts_with('0'))
        };
        let number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            digits.starts_with(|c: char| c.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0') || digits.starts_with("0.") || digits.starts_with("0e"))
                && text.parse::<f64>().is_ok()
        };
        if !whole(text) && !matches!(text, "true" | "false" | "null") && !number(text) {
            return self.fault(if rest.is_empty() {
                "the text ends here, inside a value"
            } else {
                "not a value of JSON"
            });
        }
        self.at += word.len();
        Ok(text)
    }

    /// A whole number.
    pub(super) fn number<T: std::str::FromStr>(&mut self) -> Read<T> {
        let head = self.peek();
        let begin = self.at;
        if !head.is_some_and(|byte| byte == b'-' || byte.is_ascii_digit()) {
            return self.fault(if head.is_none() { "the text ends here, inside a value" } else { "not a number" });
        }
        match self.word()?.parse() {
            Ok(number) => Ok(number),
            Err(_) => {
                Err(Fault { at: begin, reason: "not a whole number of the size that is wanted here", unknown: false })
            }
        }
    }

    /// Takes one value of any kind as its text.
    pub(super) fn raw(&mut self) -> Read<&'a str> {
        self.peek();
        let begin = self.at;
        self.skip()?;
        self.since(begin)
    }

    /// What was read since `begin`.
    pub(super) fn since(&self, begin: usize) -> Read<&'a str> {
        match self.part(begin, self.at) {
            Some(text) => Ok(text),
            None => Err(Fault { at: begin, reason: "a value that is not UTF-8", unknown: false }),
        }
    }

    fn skip(&mut self) -> Read<()> {
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip()),
            Some(b'[') => self.list(Self::skip),
            Some(b'"') => self.string().map(|_| ()),
            _ => self.word().map(|_| ()),
        }
    }

    /// Tries to take a value; where it is not as expected, it is taken as its text, and noted.
    pub(super) fn or_raw<T>(&mut self, take: impl FnOnce(&mut Self) -> Read<T>) -> Read<Result<T, &'a str>> {
        self.peek();
        let (at, depth) = (self.at, self.depth);
        match take(self) {
            Ok(value) => Ok(Ok(value)),
            Err(fault) => {
                self.at = at;
                self.depth = depth;
                let text = self.raw()?;
                self.note(fault);
                Ok(Err(text))
            }
        }
    }
}

/// A value that can be taken from JSON and written as it. Only this module's own types are.
pub trait Json<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Read<Self>;
    fn write(&self, out: &mut Vec<u8>);
}

impl<'a> Json<'a> for Cow<'a, str> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        reader.string()
    }

    fn write(&self, out: &mut Vec<u8>) {
        string(self, out);
    }
}

/// Writing to memory cannot fail.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl<'a> Json<'a> for $type {
            fn read(reader: &mut Reader<'a>) -> Read<Self> {
                reader.number()
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.to_string().as_bytes());
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i32, i64);

impl<'a> Json<'a> for bool {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        reader.peek();
        let at = reader.at;
        match reader.word()? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Fault { at, reason: "neither true nor false", unknown: false }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl<'a, T: Json<'a>> Json<'a> for Option<T> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        if reader.peek() == Some(b'n') {
            return match reader.word()? {
                "null" => Ok(None),
                _ => reader.fault("not a value"),
            };
        }
        T::read(reader).map(Some)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<'a, T: Json<'a>> Json<'a> for Box<T> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        T::read(reader).map(Self::new)
    }

    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }
}

impl<'a, T: Json<'a>> Json<'a> for Vec<T> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        let mut values = Self::new();
        reader.list(|reader| {
            values.push(T::read(reader)?);
            Ok(())
        })?;
        Ok(values)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (number, value) in self.iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(b", ");
            }
            value.write(out);
        }
        out.push(b']');
    }
}

/// A value kept as its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a str);

impl<'a> Json<'a> for Raw<'a> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        reader.raw().map(Self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
}

/// A list whose values were typed once when it was read and are typed again when they are asked for,
/// so that it costs no more than its place in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lazy<'a, T> {
    text: &'a str,
    typed: std::marker::PhantomData<fn() -> T>,
}

impl<'a, T: Json<'a>> Lazy<'a, T> {
    /// The list as it stands in the input.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The values in order.
    pub fn iter(&self) -> LazyIter<'a, T> {
        LazyIter { reader: Reader::over(self.text), begun: false, typed: std::marker::PhantomData }
    }
}

impl<'a, T: Json<'a>> IntoIterator for &Lazy<'a, T> {
    type Item = T;
    type IntoIter = LazyIter<'a, T>;

    fn into_iter(self) -> LazyIter<'a, T> {
        self.iter()
    }
}

/// The values of a [`Lazy`] list.
#[derive(Debug)]
pub struct LazyIter<'a, T> {
    reader: Reader<'a>,
    begun: bool,
    typed: std::marker::PhantomData<fn() -> T>,
}

impl<'a, T: Json<'a>> Iterator for LazyIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        // past the opening bracket or the comma; the list was read before, so it is well-formed
        let separator = if std::mem::replace(&mut self.begun, true) { b',' } else { b'[' };
        self.reader.expect(separator, "").ok()?;
        if self.reader.peek() == Some(b']') {
            return None;
        }
        T::read(&mut self.reader).ok()
    }
}

impl<'a, T: Json<'a>> Json<'a> for Lazy<'a, T> {
    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        reader.peek();
        let begin = reader.at;
        reader.list(|reader| T::read(reader).map(|_| ()))?;
        Ok(Self { text: reader.since(begin)?, typed: std::marker::PhantomData })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (number, value) in self.iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(b", ");
            }
            value.write(out);
        }
        out.push(b']');
    }
}

/// `"key": ` with what separates it from the one before.
pub(super) fn key(name: &str, first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(first, false) {
        out.extend_from_slice(b", ");
    }
    string(name, out);
    out.extend_from_slice(b": ");
}

/// A struct whose fields are an object's keys. Keys in `must` have to be there, those in `may` need
/// not. Another key makes the whole object unknown, unless the struct collects them in `rest`.
macro_rules! object {
    (
        $(#[$doc:meta])* $name:ident $(collects $rest:ident)?
        must { $($(#[$mdoc:meta])* $must:ident : $mtype:ty = $mkey:literal,)* }
        may { $($(#[$odoc:meta])* $may:ident : $otype:ty = $okey:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name<'a> {
            $($(#[$mdoc])* pub $must: $mtype,)*
            $($(#[$odoc])* pub $may: Option<$otype>,)*
            $(
                /// Keys that this version has not met, with the text of their values.
                pub $rest: Vec<(std::borrow::Cow<'a, str>, $crate::nft::json::Raw<'a>)>,
            )?
            /// Structs of flat numbers borrow nothing.
            pub(super) borrowed: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $crate::nft::json::Json<'a> for $name<'a> {
            fn read(reader: &mut $crate::nft::json::Reader<'a>) -> $crate::nft::json::Read<Self> {
                use $crate::nft::json::Json;
                $(let mut $must: Option<$mtype> = None;)*
                $(let mut $may: Option<$otype> = None;)*
                $(let mut $rest = Vec::new();)?
                reader.object(|reader, key| {
                    let twice = match &*key {
                        $($mkey => $must.replace(Json::read(reader)?).is_some(),)*
                        $($okey => $may.replace(Json::read(reader)?).is_some(),)*
                        _ => object!(@other reader key $($rest)?),
                    };
                    if twice { reader.fault("a key that is there twice") } else { Ok(()) }
                })?;
                Ok(Self {
                    $($must: match $must {
                        Some(value) => value,
                        None => return reader.fault(concat!("the object that ends here has no key `", $mkey, "`")),
                    },)*
                    $($may,)*
                    $($rest,)?
                    borrowed: std::marker::PhantomData,
                })
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(b'{');
                let mut first = true;
                $(
                    $crate::nft::json::key($mkey, &mut first, out);
                    self.$must.write(out);
                )*
                $(if let Some(value) = &self.$may {
                    $crate::nft::json::key($okey, &mut first, out);
                    value.write(out);
                })*
                $(for (name, value) in &self.$rest {
                    $crate::nft::json::key(name, &mut first, out);
                    value.write(out);
                })?
                let _ = &mut first;
                out.push(b'}');
            }
        }
    };
    (@other $reader:ident $key:ident) => {
        return $reader.unknown()
    };
    (@other $reader:ident $key:ident $rest:ident) => {{
        $rest.push(($key.clone(), Json::read($reader)?));
        false
    }};
}
pub(super) use object;
