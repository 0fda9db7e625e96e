//! Printing and storing reports.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{Outcome, Report};

/// One line for a report.
#[must_use]
pub fn line(report: &Report) -> String {
    let (word, detail) = match &report.outcome {
        Outcome::Pass => ("pass", ""),
        Outcome::Fail(what) => ("FAIL", what.as_str()),
        Outcome::Known(why) => ("known", why.as_str()),
        Outcome::UnexpectedPass => ("FIXED", "passes: take its Fails(..) mark away"),
        Outcome::Unusable(what) => ("ERROR", what.as_str()),
    };
    let mut text = format!("{word:5} {:44} {:>9.3} s", report.name, report.native_s);
    if let (Some(scone), Some(ratio)) = (report.scone_s, report.ratio()) {
        let _ = write!(text, " {scone:>9.3} s {ratio:>7.2}x");
    }
    for (name, native, scone) in &report.metrics {
        let _ = write!(text, "  {name} {native:.0}");
        if let Some(scone) = scone {
            let _ = write!(text, " -> {scone:.0}");
        }
    }
    if !detail.is_empty() {
        let _ = write!(text, "  {detail}");
    }
    text
}

/// The counts of all outcomes in one line.
#[must_use]
pub fn summary(reports: &[Report]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        reports.iter().filter(|report| wanted(&report.outcome)).count()
    };
    format!(
        "{} cases: {} passed, {} failed, {} known to fail, {} fixed, {} unusable",
        reports.len(),
        count(|o| matches!(o, Outcome::Pass)),
        count(|o| matches!(o, Outcome::Fail(_))),
        count(|o| matches!(o, Outcome::Known(_))),
        count(|o| matches!(o, Outcome::UnexpectedPass)),
        count(|o| matches!(o, Outcome::Unusable(_))),
    )
}

/// Writes all reports as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn store(reports: &[Report], path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(reports).context("encode the reports")?;
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
