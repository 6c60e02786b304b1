//! One million mutated messages through the envelope parser: none may panic, and what it takes must be a message.

use countersign_mcp::fuzz_entry;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }
}

const SEEDS: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"q","arguments":{"a":[1,2.5e3,"\u00e9\ud83d\ude00"]}}}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993}}"#,
    r#"{"jsonrpc":"2.0","id":7,"result":{"action":"accept","content":{"name":"A"}}}"#,
    r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
];

const PIECES: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"-0",
    b"1e999",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"\"id\":1,",
    b"\"method\":\"x\",",
];

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut text = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() + 1);
        match random.below(6) {
            0 if at < text.len() => text[at] ^= 1 << random.below(8),
            1 if at < text.len() => drop(text.drain(at..(at + 1 + random.below(8)).min(text.len()))),
            2 => text.truncate(at),
            3 => {
                let piece = PIECES[random.below(PIECES.len())];
                text.splice(at..at, piece.iter().copied());
            }
            4 => {
                let end = (at + random.below(24)).min(text.len());
                let copy = text[at..end].to_vec();
                text.splice(at..at, copy);
            }
            _ => {
                let deep = random.below(80);
                text.splice(at..at, std::iter::repeat_n(b'[', deep));
            }
        }
    }
    text
}

#[test]
fn a_million_mutated_messages_do_no_harm() {
    let mut random = Random(0x5eed_c0de);
    let mut taken = 0_u64;
    for round in 0..1_000_000 {
        let text = mutate(SEEDS[round % SEEDS.len()].as_bytes(), &mut random);
        if fuzz_entry(&text) {
            taken += 1;
            // An independent reader agrees that it is one JSON object of this protocol.
            let value: serde_json::Value =
                serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}: {}", text.escape_ascii()));
            assert_eq!(value["jsonrpc"], "2.0", "{}", text.escape_ascii());
        }
    }
    assert!((1_000..900_000).contains(&taken), "the mutator is too wild or too tame: {taken}");
}
