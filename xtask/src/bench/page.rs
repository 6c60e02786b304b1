//! `docs/performance.md`: figures are written between markers, so that what people wrote around them stays.

use anyhow::{Context as _, Result};

use crate::workspace;

/// Puts `figures` between `<!-- bench NAME -->` and `<!-- end NAME -->` of the page.
///
/// # Errors
/// If the page has no such place.
pub(super) fn put(name: &str, figures: &str) -> Result<()> {
    let path = workspace::root().join("docs/performance.md");
    let page = std::fs::read_to_string(&path)?;
    let place = format!("`{}` has no place for `{name}`", path.display());
    let page = replaced(&page, name, figures).context(place)?;
    std::fs::write(&path, page)?;
    println!("written: {}", path.display());
    Ok(())
}

fn replaced(page: &str, name: &str, figures: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn figures_replace_figures_and_nothing_else() {
        let page = "# A\n\n<!-- bench echo -->\nold\n<!-- end echo -->\n\nBy hand.\n";
        let new = replaced(page, "echo", "\nnew\n").expect("a place");
        assert_eq!(new, "# A\n\n<!-- bench echo -->\n\nnew\n\n<!-- end echo -->\n\nBy hand.\n");
        assert_eq!(replaced(&new, "echo", "new"), Some(new.clone()));
        assert_eq!(replaced(page, "sql", "new"), None);
    }
}
