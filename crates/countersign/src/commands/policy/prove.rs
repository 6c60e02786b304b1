//! `policy prove`: what no call may do, and in what two sets of policies differ, by a solver.

#[cfg(feature = "prove")]
mod asking;
#[cfg(feature = "prove")]
mod shown;

#[cfg(feature = "prove")]
pub(super) use asking::run;

/// Says that this build has no solver's compiler.
#[cfg(not(feature = "prove"))]
pub(super) fn run(
    _: &dyn Fn() -> Result<super::Place, crate::print::Failure>,
    _: &super::args::Prove,
    _: crate::print::Printer,
) -> crate::print::Outcome {
    let cannot = anyhow::anyhow!("nothing is proved: this program was built without the feature `prove`");
    Err(crate::print::Failure::unavailable(cannot).help(
        "build it with `cargo build --release --features prove`; `policy test`, `policy matrix` and `policy diff` need no solver",
    ))
}
