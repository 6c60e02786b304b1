//! The byte form of [`Request`] and [`Response`], sans I/O: the same codec serves the worker's blocking stream and an asynchronous master.
//!
//! A frame is its payload's length (4 bytes, big-endian) and the payload. Lengths stay below 2^24, so a frame's first byte is 0. While a
//! request runs, the master may send the single byte [`INTERRUPT`], which is not 0: the worker stops the statement, or skips the byte if the
//! answer had already been sent.

pub(crate) mod codec;
mod read;
mod write;

use crate::{Request, Response};

#[cfg(test)]
mod tests;

/// A frame's header, bytes.
pub const HEADER: usize = 4;
/// The largest payload, bytes. A row's values are cut long before, by the limits of its run.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;
/// Stops the running statement; sent outside any frame.
pub const INTERRUPT: u8 = 0xff;

/// Why bytes are not a message. The stream cannot be used any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    /// The frame is longer than [`MAX_PAYLOAD`].
    #[error("a frame is longer than allowed")]
    TooLong,
    /// The payload ends early, has bytes left over, or holds something that no message has.
    #[error("a frame is malformed: {0}")]
    Malformed(&'static str),
}

/// Appends a request's frame to `out`.
///
/// # Errors
/// [`WireError::TooLong`]; `out` is then as before.
pub fn encode_request(request: &Request, out: &mut Vec<u8>) -> Result<(), WireError> {
    frame(out, |out| write::request(out, request))
}

/// Appends a response's frame to `out`.
///
/// # Errors
/// [`WireError::TooLong`]; `out` is then as before.
pub fn encode_response(response: &Response, out: &mut Vec<u8>) -> Result<(), WireError> {
    frame(out, |out| write::response(out, response))
}

/// The length of the payload that follows a header.
///
/// # Errors
/// [`WireError::TooLong`].
pub fn payload_length(header: [u8; HEADER]) -> Result<usize, WireError> {
    match usize::try_from(u32::from_be_bytes(header)) {
        Ok(length) if length <= MAX_PAYLOAD => Ok(length),
        _ => Err(WireError::TooLong),
    }
}

/// Decodes a request's payload.
///
/// # Errors
/// [`WireError::Malformed`].
pub fn decode_request(payload: &[u8]) -> Result<Request, WireError> {
    codec::whole(payload, read::request)
}

/// Decodes a response's payload.
///
/// # Errors
/// [`WireError::Malformed`].
pub fn decode_response(payload: &[u8]) -> Result<Response, WireError> {
    codec::whole(payload, read::response)
}

fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), WireError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let payload = out.len() - start - HEADER;
    let length = u32::try_from(payload).ok().filter(|_| payload <= MAX_PAYLOAD);
    match (length, out.get_mut(start..start + HEADER)) {
        (Some(length), Some(header)) => {
            header.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(WireError::TooLong)
        }
    }
}
