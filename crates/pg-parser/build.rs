//! Compiles the vendored grammar with the C compiler alone: nothing is generated, nothing is looked for on the machine.

use std::path::{Path, PathBuf};

const VENDOR: &str = "vendor/libpg_query";

fn main() {
    let vendor = Path::new(VENDOR);
    let list = std::fs::read_to_string(vendor.join("FILES")).unwrap_or_default();
    // Files of `src/include` are included by others; they are no units of their own.
    let sources: Vec<PathBuf> = list
        .lines()
        .filter(|name| name.ends_with(".c") && !name.contains("/include/"))
        .map(|name| vendor.join(name))
        .collect();
    assert!(!sources.is_empty(), "the list of vendored files is missing: {VENDOR}/FILES");
    println!("cargo:rerun-if-changed={VENDOR}");
    println!("cargo:rerun-if-changed=csrc");

    let mut build = cc::Build::new();
    build
        .files(sources)
        .file("csrc/countersign_parse.c")
        .include("csrc")
        .include(vendor)
        .include(vendor.join("src"))
        .include(vendor.join("src/include"))
        .include(vendor.join("src/postgres/include"))
        .warnings(false)
        // PostgreSQL's own flags: its code relies on both.
        .flag_if_supported("-fno-strict-aliasing")
        .flag_if_supported("-fwrapv");
    build.compile("countersign_pg_parser");
}
