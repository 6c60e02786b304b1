//! The stand-in for platforms without containment: a child that cannot exist.

use std::{io, os::unix::net::UnixStream};

/// A running process; uninhabited here.
#[derive(Debug)]
pub enum Child {}

impl Child {
    /// The process id.
    pub fn pid(&self) -> u32 {
        match *self {}
    }

    /// The parent's end of the child's descriptor 0.
    pub fn take_stream(&mut self) -> Option<UnixStream> {
        match *self {}
    }

    /// Kills the process.
    ///
    /// # Errors
    /// Never: there is none.
    pub fn kill(&self) -> io::Result<()> {
        match *self {}
    }
}
