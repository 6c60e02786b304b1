//! Prints how fast text is cleaned: `cargo run --release -p countersign-redact --example throughput`.
#![allow(clippy::print_stdout, reason = "an example that prints its measurement")]

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use countersign_redact::{Redactor, SecretSet};

fn main() -> Result<(), Box<dyn Error>> {
    let secrets: Vec<(String, String)> = (0..10)
        .map(|i| (format!("secret-{i}"), format!("{:032x}", 0x9e37_79b9_7f4a_7c15_u128 * (i + 1))))
        .collect();
    let with_secret =
        format!("{} {} {}", "x".repeat(500), secrets.first().map_or("", |s| s.1.as_str()), "y".repeat(500));
    let redactor = Redactor::new(SecretSet::new(secrets)?);
    for (name, text) in [
        ("short ASCII", "Ada Lovelace".to_owned()),
        ("1 kB ASCII", "id,name,city\n7,Ada Lovelace,London\n".repeat(30)),
        ("64 kB ASCII", "id,name,city\n7,Ada Lovelace,London\n".repeat(1900)),
        ("1 kB Greek", "Καλημέρα κόσμε ".repeat(36)),
        ("1 kB with a secret", with_secret),
    ] {
        let start = Instant::now();
        let mut rounds = 0_u32;
        while start.elapsed() < Duration::from_millis(300) {
            for _ in 0..100 {
                black_box(redactor.text(black_box(&text)));
            }
            rounds += 100;
        }
        let each = start.elapsed().as_secs_f64() / f64::from(rounds);
        #[allow(clippy::cast_precision_loss, reason = "a text is far shorter than 2^52 bytes")]
        let rate = text.len() as f64 / each / 1e6;
        println!("{name:20} {:9.1} ns {rate:8.0} MB/s", each * 1e9);
    }
    Ok(())
}
