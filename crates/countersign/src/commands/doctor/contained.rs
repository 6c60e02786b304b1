//! What `doctor` says of the sandbox, of Python and of commands: how well this machine contains them, and what is absent.

use countersign_sandbox::Grade;
use tokio::runtime::Runtime;

use super::Check;
use crate::{config::Config, contained};

/// Tests the sandbox and makes the tools, as a server would.
pub(super) fn checks(config: &Config, runtime: &Runtime) -> Vec<Check> {
    let contained = runtime.block_on(contained::start(config));
    let Some(grade) = contained.grade else { return Vec::new() };
    let mut checks = vec![match grade {
        Grade::Full => Check::good("sandbox", format!("grade full: {}", contained.about)),
        Grade::Reduced => Check::warning(
            "sandbox",
            format!("grade reduced: {}; {}", contained.about, contained.findings.join("; ")),
            "programs run with one wall less; the grade is in the tools' descriptions and in every record",
        ),
        Grade::Refused => Check::bad(
            "sandbox",
            format!("programs cannot be contained here: {}", contained.findings.join("; ")),
            "`run_python` and all commands are absent until this is mended",
        ),
    }];
    if grade == Grade::Full {
        checks.extend(contained.findings.iter().map(|finding| Check::warning("sandbox", finding, "")));
    }
    checks.extend(contained.python.iter().map(|about| Check::good("python", about)));
    if grade != Grade::Refused {
        checks.extend(contained.absent.iter().map(|reason| Check::bad("programs", reason, "")));
        let ready = config.commands.len();
        if ready > 0 && contained.absent.is_empty() {
            checks.push(Check::good("commands", format!("{ready} ready, their programs pinned")));
        }
    }
    checks
}
