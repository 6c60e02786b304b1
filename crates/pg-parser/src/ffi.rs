//! The door to the C code: two foreign functions and the one struct they fill, as declared in `csrc/countersign_parse.h`.
#![allow(unsafe_code, reason = "the grammar is C; this file alone calls it")]

use std::ffi::{CStr, CString, c_char, c_int};

use crate::SyntaxError;

const PARSED: c_int = 0;
const SYNTAX: c_int = 1;
const TOO_COMPLEX: c_int = 2;

#[repr(C)]
struct Tree {
    text: *mut c_char,
    cursor: c_int,
}

unsafe extern "C" {
    fn countersign_parse(sql: *const c_char, out: *mut Tree) -> c_int;
    fn countersign_parse_free(tree: *mut Tree);
}

impl Drop for Tree {
    fn drop(&mut self) {
        // SAFETY: `text` is null or was allocated by `countersign_parse`, and is freed once: the C function clears it.
        unsafe { countersign_parse_free(self) }
    }
}

pub(crate) fn parse(sql: &str) -> Result<String, SyntaxError> {
    let sql = CString::new(sql).map_err(|_| SyntaxError::NulCharacter)?;
    let mut tree = Tree { text: std::ptr::null_mut(), cursor: 0 };
    // SAFETY: `sql` ends in NUL and outlives the call; `tree` is a valid struct of the declared layout. The C code keeps neither pointer,
    // all its state is thread-local, and its long jumps end inside it.
    let state = unsafe { countersign_parse(sql.as_ptr(), &mut tree) };
    let text = match tree.text.is_null() {
        true => "",
        // SAFETY: not null, so it is a NUL-terminated string that lives until `tree` is dropped, after the borrow.
        false => unsafe { CStr::from_ptr(tree.text) }.to_str().map_err(|_| SyntaxError::NotUtf8)?,
    };
    match state {
        PARSED => Ok(text.to_owned()),
        SYNTAX => Err(SyntaxError::Rejected {
            message: text.to_owned(),
            cursor: u32::try_from(tree.cursor).ok().filter(|cursor| *cursor > 0),
        }),
        TOO_COMPLEX => Err(SyntaxError::TooComplex),
        _ => Err(SyntaxError::NoMemory),
    }
}
