//! Output of any length in bounded memory: the start and the end are kept.

use std::collections::VecDeque;

use crate::jail::Captured;

/// A stream that writes this many times what is kept of it is a flood.
const FLOOD: u64 = 8;
/// Less than this is no flood, however little is kept.
const NO_FLOOD: u64 = 64 << 10;

/// One stream being captured.
pub(crate) struct Capture {
    limit: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    /// Keeps `limit` bytes.
    pub(crate) fn new(limit: usize) -> Capture {
        Capture { limit, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let first = self.limit.div_ceil(2).saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(first).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(head);
        // MUTATE(E4-output): everything is kept
        let keep = self.limit / 2;
        let rest = rest.get(rest.len().saturating_sub(keep)..).unwrap_or_default();
        let surplus = (self.tail.len() + rest.len()).saturating_sub(keep);
        self.tail.drain(..surplus.min(self.tail.len()));
        self.tail.extend(rest);
    }

    /// How much was written.
    #[cfg(feature = "container")]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether so much was written that the program only wants to drown its reader.
    pub(crate) fn is_flood(&self) -> bool {
        self.total > FLOOD.saturating_mul(self.limit as u64).max(NO_FLOOD)
    }

    /// What was kept. A stream that was kept whole is all head.
    pub(crate) fn finish(self) -> Captured {
        let Capture { mut head, tail, total, .. } = self;
        let mut tail = Vec::from(tail);
        if (head.len() + tail.len()) as u64 == total {
            head.append(&mut tail);
        }
        Captured { head, tail, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, pieces: &[&str]) -> (String, String, u64) {
        let mut capture = Capture::new(limit);
        pieces.iter().for_each(|piece| capture.take(piece.as_bytes()));
        let Captured { head, tail, total } = capture.finish();
        (String::from_utf8(head).unwrap(), String::from_utf8(tail).unwrap(), total)
    }

    #[test]
    fn the_start_and_the_end_are_kept_however_the_bytes_arrive() {
        let cut = ("abc".to_owned(), "xyz".to_owned(), 26);
        assert_eq!(captured(6, &["abcdefghijklmnopqrstuvwxyz"]), cut);
        let letters: Vec<String> = ('a'..='z').map(String::from).collect();
        assert_eq!(captured(6, &letters.iter().map(String::as_str).collect::<Vec<_>>()), cut);
        assert_eq!(captured(6, &["abcde", "fghijklmnopqrstuvw", "xyz"]), cut);
        assert_eq!(captured(6, &["abcd", "ef"]), ("abcdef".into(), String::new(), 6));
        assert_eq!(captured(5, &["abcdef"]), ("abc".into(), "ef".into(), 6));
        assert_eq!(captured(0, &["abc"]), (String::new(), String::new(), 3));
    }

    #[test]
    fn a_flood_is_many_times_what_is_kept() {
        let mut capture = Capture::new(16 << 10);
        capture.take(&vec![0; 128 << 10]);
        assert!(!capture.is_flood());
        capture.take(b"x");
        assert!(capture.is_flood());
    }
}
