//! The primitives of the byte form: lengths and integers in network order, tags, counted sequences.

use super::WireError;

/// Decodes all of `payload`.
pub(crate) fn whole<T>(
    payload: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<T, WireError> {
    let mut reader = Reader { rest: payload };
    let value = read(&mut reader)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(WireError::Malformed("bytes are left over")) }
}

/// A position in a payload.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(WireError::Malformed("it ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.bytes(N)?.try_into().map_err(|_| WireError::Malformed("it ends early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, WireError> {
        let length = self.length()?;
        Ok(self.bytes(length)?.to_vec())
    }

    pub(crate) fn text(&mut self) -> Result<String, WireError> {
        let length = self.length()?;
        let text =
            str::from_utf8(self.bytes(length)?).map_err(|_| WireError::Malformed("text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// INVARIANT: memory grows only as items are read, each of at least one byte, so a claimed count allocates nothing by itself.
    pub(crate) fn sequence<T, C: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<C, WireError> {
        let count = self.length()?;
        if count > self.rest.len() {
            return Err(WireError::Malformed("a count exceeds what is there"));
        }
        (0..count).map(|_| read(self)).collect()
    }

    fn length(&mut self) -> Result<usize, WireError> {
        usize::try_from(self.u32()?).map_err(|_| WireError::TooLong)
    }
}

/// Appends a length. INVARIANT: one above `u32` belongs to a payload above `MAX_PAYLOAD`, which `frame` refuses.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}
