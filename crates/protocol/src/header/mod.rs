//! Typed headers: what a request or a reply carries besides code and body.
//!
//! ```
//! use protocol::header::Header;
//!
//! #[derive(Header)]
//! struct GetRouteInfo<'a> {
//!     topic: std::borrow::Cow<'a, str>,
//!     accept_standard_json_only: Option<bool>,
//! }
//! ```

pub mod auth;
pub mod broker;
pub mod namesrv;

use crate::encode::{FieldName, FieldWriter};
use crate::frame::Fields;
use std::borrow::Cow;

pub use protocol_derive::Header;

/// A field that a handler needs and did not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A required field is missing.
    #[error("the custom field <{field}> is null")]
    Missing {
        /// Its name on the wire.
        field: &'static str,
    },
    /// A field's text is not of its type.
    #[error("the custom field <{field}> is not a {expected}: {value:?}")]
    IllTyped {
        /// Its name on the wire.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
        /// Its text, cut to 64 characters.
        value: String,
    },
}

/// A header that can be read from a frame's fields.
pub trait DecodeHeader<'a>: Sized {
    /// Reads it. The error names the first field that is missing or ill typed.
    fn decode(fields: Fields<'a>) -> Result<Self, HeaderError>;
}

/// A header that can be written.
pub trait EncodeHeader {
    /// Writes its fields; a `None` is left out.
    fn encode(&self, writer: &mut FieldWriter<'_>);

    /// False leaves `extFields` out of the JSON altogether. A present header without fields is `{}`: Java clients read
    /// some replies' `extFields` without looking whether it is there.
    fn is_present(&self) -> bool {
        true
    }
}

/// The type of one header field.
pub trait DecodeField<'a>: Sized {
    /// Its name in an error.
    const EXPECTED: &'static str;
    /// From its text; `None` if that is not of the type.
    fn decode(text: &'a str) -> Option<Self>;
}

/// The type of one header field, to be written.
pub trait EncodeField {
    /// Writes it under `name`, or nothing if it is not there.
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>);
}

impl<'a> DecodeField<'a> for String {
    const EXPECTED: &'static str = "string";
    fn decode(text: &'a str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl<'a> DecodeField<'a> for &'a str {
    const EXPECTED: &'static str = "string";
    fn decode(text: &'a str) -> Option<Self> {
        Some(text)
    }
}

impl<'a> DecodeField<'a> for Cow<'a, str> {
    const EXPECTED: &'static str = "string";
    fn decode(text: &'a str) -> Option<Self> {
        Some(Cow::Borrowed(text))
    }
}

/// What most numbers in headers are: flags, queues, counts.
#[inline]
fn one_digit(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        _ => None,
    }
}

impl<'a> DecodeField<'a> for i32 {
    const EXPECTED: &'static str = "32-bit number";
    #[inline]
    fn decode(text: &'a str) -> Option<Self> {
        match one_digit(text) {
            Some(digit) => Some(i32::from(digit)),
            None => text.parse().ok(),
        }
    }
}

impl<'a> DecodeField<'a> for i64 {
    const EXPECTED: &'static str = "64-bit number";
    #[inline]
    fn decode(text: &'a str) -> Option<Self> {
        match one_digit(text) {
            Some(digit) => Some(i64::from(digit)),
            None => text.parse().ok(),
        }
    }
}

impl<'a> DecodeField<'a> for f64 {
    const EXPECTED: &'static str = "number";
    fn decode(text: &'a str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<'a> DecodeField<'a> for bool {
    const EXPECTED: &'static str = "boolean";
    fn decode(text: &'a str) -> Option<Self> {
        // Java's Boolean.parseBoolean: "true" in any case is true, everything else false.
        Some(text.eq_ignore_ascii_case("true"))
    }
}

impl EncodeField for String {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.text(name, self);
    }
}

impl EncodeField for &str {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.text(name, self);
    }
}

impl EncodeField for Cow<'_, str> {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.text(name, self);
    }
}

impl EncodeField for i32 {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.int(name, i64::from(*self));
    }
}

impl EncodeField for i64 {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.int(name, *self);
    }
}

impl EncodeField for f64 {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.text(name, &java_double(*self));
    }
}

impl EncodeField for bool {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        writer.flag(name, *self);
    }
}

impl<T: EncodeField> EncodeField for Option<T> {
    fn encode(&self, name: FieldName, writer: &mut FieldWriter<'_>) {
        if let Some(value) = self {
            value.encode(name, writer);
        }
    }
}

/// No header: `extFields` is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoHeader;

impl EncodeHeader for NoHeader {
    fn encode(&self, _writer: &mut FieldWriter<'_>) {}
    fn is_present(&self) -> bool {
        false
    }
}

/// The same as [`NoHeader`].
impl EncodeHeader for () {
    fn encode(&self, _writer: &mut FieldWriter<'_>) {}
    fn is_present(&self) -> bool {
        false
    }
}

impl<'a> DecodeHeader<'a> for () {
    fn decode(_fields: Fields<'a>) -> Result<Self, HeaderError> {
        Ok(())
    }
}

/// Two headers as one, for fields that several replies share.
impl<A: EncodeHeader, B: EncodeHeader> EncodeHeader for (A, B) {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        self.0.encode(writer);
        self.1.encode(writer);
    }
    fn is_present(&self) -> bool {
        self.0.is_present() || self.1.is_present()
    }
}

impl<H: EncodeHeader> EncodeHeader for Option<H> {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        if let Some(header) = self {
            header.encode(writer);
        }
    }
    fn is_present(&self) -> bool {
        self.as_ref().is_some_and(EncodeHeader::is_present)
    }
}

impl<H: EncodeHeader + ?Sized> EncodeHeader for &H {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        (**self).encode(writer);
    }
    fn is_present(&self) -> bool {
        (**self).is_present()
    }
}

/// Plain pairs, where names are only known at run time.
impl EncodeHeader for [(&str, &str)] {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        for (name, value) in self {
            writer.foreign(name, value);
        }
    }
}

/// The same header under its short names (SEND_MESSAGE_V2 writes `a` for `producerGroup`).
pub struct Short<'a, H>(pub &'a H);

impl<H: EncodeHeader> EncodeHeader for Short<'_, H> {
    fn encode(&self, writer: &mut FieldWriter<'_>) {
        let outer = std::mem::replace(&mut writer.short, true);
        self.0.encode(writer);
        writer.short = outer;
    }
}

/// A double as Java prints it: `1.0`, `12.34`, `1.23456789E7`.
pub fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        let text = format!("{value:E}");
        let (digits, exponent) = text.split_once('E').unwrap_or((&text, "0"));
        return if digits.contains('.') {
            format!("{digits}E{exponent}")
        } else {
            format!("{digits}.0E{exponent}")
        };
    }
    format!("{value:?}")
}

/// What the derived code calls; not for use by hand.
#[doc(hidden)]
pub mod read {
    use super::{DecodeField, HeaderError};

    /// A field that must be of its type.
    #[inline]
    pub fn strict<'a, T: DecodeField<'a>>(
        field: &'static str,
        text: &'a str,
    ) -> Result<Option<T>, HeaderError> {
        match T::decode(text) {
            Some(value) => Ok(Some(value)),
            None => Err(ill_typed(field, T::EXPECTED, text)),
        }
    }

    #[cold]
    fn ill_typed(field: &'static str, expected: &'static str, text: &str) -> HeaderError {
        HeaderError::IllTyped {
            field,
            expected,
            value: text.chars().take(64).collect(),
        }
    }

    /// A field that may be missing: an empty text where a number belongs counts as missing (some clients send it so).
    #[inline]
    pub fn lenient<'a, T: DecodeField<'a>>(
        field: &'static str,
        text: &'a str,
    ) -> Result<Option<T>, HeaderError> {
        if text.is_empty() && T::decode(text).is_none() {
            return Ok(None);
        }
        strict(field, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whole_numbers_are_what_rust_takes(text in "[+-]?[0-9]{0,3}|[+-]?[0-9]{9,20}|.{0,3}") {
            prop_assert_eq!(<i32 as DecodeField>::decode(&text), text.parse().ok());
            prop_assert_eq!(<i64 as DecodeField>::decode(&text), text.parse().ok());
        }
    }
}
