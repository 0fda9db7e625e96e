//! Figures: as a table, as JSON, and as the page of the handbook.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::plot;
use crate::stats::Spread;
use crate::way::Way;

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One way of running measured by one metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) group: String,
    pub(crate) name: String,
    /// Threads or connections, where the figure belongs to a series.
    pub(crate) at: Option<usize>,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    /// Cost model of the emulator.
    pub(crate) model: String,
    pub(crate) way: Way,
    pub(crate) value: Spread,
    /// The value over the native one of the same turn.
    pub(crate) ratio: Spread,
    /// Of [`Way::Auto`], where it was measured beside the ways that it chooses from.
    pub(crate) choice: Option<Choice>,
}

/// How the runtime's choice compares with the better one of the fixed ways.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) better: Way,
    /// The value over that of the better way in the same turn.
    pub(crate) ratio: Spread,
}

impl Figure {
    /// Name and number.
    fn label(&self) -> String {
        match self.at {
            Some(at) => format!("{}, {at}", self.name),
            None => self.name.clone(),
        }
    }

    fn same_row(&self, other: &Self) -> bool {
        self.model == other.model
            && self.group == other.group
            && self.label() == other.label()
            && self.metric == other.metric
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { median, least, most } = self.ratio;
        write!(f, "{median:.2} of {}, {least:.2}..{most:.2}", self.better.name())
    }
}

/// All figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
}

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench --publish docs/benchmarks`. Emulated enclaves on a small virtual machine: compare
ratios, not times. Each value is the median of all turns; in brackets the ratio to the native run of the same
turn, with the smallest and the largest. Where less is better, a ratio below 1 is faster than native. In a turn every way
runs once, one soon after the other. Servers of all ways are up at once and take the load in turn, so a round of
theirs has several turns, after two that do not count.
The cost model says what the emulator charges for entering and leaving an enclave: `off` nothing but its own
instructions; the others what was published for processors. `sud` is a native run whose threads have Syscall
User Dispatch switched on, as the emulator's must: less than that it cannot cost, and hardware does not need it.
";

impl Report {
    pub(crate) fn merge(&mut self, other: Self) {
        self.figures.extend(other.figures);
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} holds no figures", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text).with_context(|| format!("{}", file.display()))
    }

    /// Figures of one row after the other: the same benchmark and metric, one for each way.
    fn rows(&self) -> impl Iterator<Item = &[Figure]> {
        self.figures.chunk_by(Figure::same_row)
    }

    pub(crate) fn print(&self) {
        for row in self.rows() {
            let first = &row[0];
            println!("{} [{}, {}, {}]", first.label(), first.metric, first.unit, first.model);
            for figure in row {
                let (value, ratio) = (figure.value, figure.ratio);
                print!(
                    "    {:8} {:>12.2}  {:>6.2}x  ({:.2} .. {:.2})",
                    figure.way.name(),
                    value.median,
                    ratio.median,
                    ratio.least,
                    ratio.most
                );
                println!("{}", figure.choice.map(|c| format!("  {c}")).unwrap_or_default());
            }
        }
    }

    /// Writes the page and the plots.
    pub(crate) fn publish(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        let plots = plot::all(self, folder)?;
        let mut page = HEAD.to_owned();
        let mut families: Vec<(&str, &str)> = Vec::new();
        for figure in &self.figures {
            let family = (figure.model.as_str(), figure.group.as_str());
            if !families.contains(&family) {
                families.push(family);
            }
        }
        for (model, group) in families {
            let _ = writeln!(page, "\n## {group}, cost model {model}\n");
            for (plot, title) in
                plots.iter().filter(|p| p.belongs_to(group, model)).map(|p| p.link())
            {
                let _ = writeln!(page, "![{title}]({plot})\n");
            }
            self.table(&mut page, group, model);
        }
        let file = folder.join("README.md");
        fs::write(&file, page).with_context(|| format!("{}", file.display()))
    }

    fn table(&self, page: &mut String, group: &str, model: &str) {
        let mut head: Option<Vec<Way>> = None;
        for row in self.rows().filter(|row| row[0].group == group && row[0].model == model) {
            let ways: Vec<Way> = row.iter().map(|figure| figure.way).collect();
            if head.as_ref() != Some(&ways) {
                let mut names: Vec<&str> = ways.iter().map(|way| way.name()).collect();
                if row.iter().any(|figure| figure.choice.is_some()) {
                    names.push("auto over the better fixed way");
                }
                let columns = "---:|".repeat(names.len());
                let _ = writeln!(page, "| | {} |\n|---|{columns}", names.join(" | "));
                head = Some(ways);
            }
            let _ = write!(page, "| {}: {} ({}) |", row[0].label(), row[0].metric, row[0].unit);
            for figure in row {
                let (value, ratio) = (number(figure.value.median), figure.ratio);
                let _ = match figure.way {
                    Way::Native => write!(page, " {value} |"),
                    _ => write!(
                        page,
                        " {value} ({:.2}, {:.2}..{:.2}) |",
                        ratio.median, ratio.least, ratio.most
                    ),
                };
            }
            for choice in row.iter().filter_map(|figure| figure.choice) {
                let _ = write!(page, " {choice} |");
            }
            page.push('\n');
        }
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([number(0.256), number(31.26), number(1234.5)], ["0.26", "31.3", "1234"]);
    }
}
