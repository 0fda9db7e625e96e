//! Plots in the form of the SCONE paper's figures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Figure, Report};
use crate::way::Way;

const SIZE: (u32, u32) = (720, 440);

/// A plot that was written.
pub(crate) struct Plot {
    group: String,
    model: String,
    file: String,
    title: String,
}

impl Plot {
    pub(crate) fn belongs_to(&self, group: &str, model: &str) -> bool {
        self.group == group && self.model == model
    }

    /// Its file, beside the page, and its title.
    pub(crate) fn link(&self) -> (&str, &str) {
        (&self.file, &self.title)
    }
}

/// The lines of one plot.
type Lines = BTreeMap<Way, Vec<(f64, f64)>>;

/// Words on the axes.
struct Axes<'a> {
    x: &'a str,
    y: &'a str,
}

/// Draws every series of the report.
pub(crate) fn all(report: &Report, folder: &Path) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    let mut seen: Vec<(&str, &str, &str)> = Vec::new();
    for figure in report.figures.iter().filter(|f| f.at.is_some()) {
        let key = (figure.group.as_str(), figure.name.as_str(), figure.model.as_str());
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let same = |f: &&Figure| {
            f.group == figure.group && f.name == figure.name && f.model == figure.model
        };
        let figures: Vec<&Figure> = report.figures.iter().filter(same).collect();
        let plot = Plot {
            group: figure.group.clone(),
            model: figure.model.clone(),
            file: format!("{}-{}-{}.svg", slug(&figure.group), slug(&figure.name), figure.model),
            title: format!("{} (cost model {})", figure.name, figure.model),
        };
        let latency = figures.iter().find(|f| f.metric == "p50");
        let (lines, axes) = match latency {
            Some(latency) => {
                let y = format!("median latency, {}", latency.unit);
                (against_latency(&figures), (figure.unit.clone(), y))
            }
            None => (by_number(&figures), ("threads".to_owned(), figure.unit.clone())),
        };
        let axes = Axes { x: &axes.0, y: &axes.1 };
        draw(&folder.join(&plot.file), &plot.title, &axes, &lines)?;
        plots.push(plot);
    }
    Ok(plots)
}

/// The first metric by the number that rises.
fn by_number(figures: &[&Figure]) -> Lines {
    let mut lines = Lines::new();
    for figure in figures.iter().filter(|f| f.metric == figures[0].metric) {
        let point = (figure.at.unwrap_or(0) as f64, figure.value.median);
        lines.entry(figure.way).or_default().push(point);
    }
    lines
}

/// Latency by throughput, in the order of the load.
fn against_latency(figures: &[&Figure]) -> Lines {
    let mut lines = Lines::new();
    for rate in figures.iter().filter(|f| f.metric == "rate") {
        let here = |f: &&&Figure| f.metric == "p50" && f.at == rate.at && f.way == rate.way;
        if let Some(latency) = figures.iter().find(here) {
            let point = (rate.value.median, latency.value.median);
            lines.entry(rate.way).or_default().push(point);
        }
    }
    lines
}

fn slug(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(keep).collect()
}

const fn colour(way: Way) -> RGBColor {
    match way {
        Way::Native => RGBColor(60, 60, 60),
        Way::Sync => RGBColor(200, 80, 30),
        Way::Sud => RGBColor(140, 140, 140),
        Way::Async | Way::Handed => RGBColor(30, 110, 190),
        Way::SqPoll => RGBColor(150, 60, 160),
        Way::Batched => RGBColor(190, 150, 20),
        Way::Auto => RGBColor(40, 150, 70),
    }
}

fn draw(file: &Path, title: &str, axes: &Axes<'_>, lines: &Lines) -> Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    draw_on(&area, title, axes, lines).map_err(|e| anyhow!("{}: {e}", file.display()))
}

fn draw_on(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    axes: &Axes<'_>,
    lines: &Lines,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.values().flatten();
    let top =
        |of: fn(&(f64, f64)) -> f64| points().map(of).fold(f64::MIN_POSITIVE, f64::max) * 1.08;
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..top(|p| p.0), 0.0..top(|p| p.1))?;
    chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).light_line_style(WHITE).draw()?;
    for (&way, line) in lines {
        let style = colour(way).stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.iter().copied(), style).point_size(3))?
            .label(way.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
