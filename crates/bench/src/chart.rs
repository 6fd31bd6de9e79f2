//! Pictures of the figures, as SVG.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::figures::number;

const OURS: RGBColor = RGBColor(0x0b, 0x6e, 0x99);
const OTHERS: RGBColor = RGBColor(0xb8, 0xb8, 0xb8);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

const BAR_HEIGHT: i32 = 26;
const TITLE_HEIGHT: i32 = 44;
const LABEL_WIDTH: i32 = 330;
const WIDTH: i32 = 860;

/// Bars of one scenario: names and figures, ours first.
#[derive(Debug)]
pub(crate) struct Bars {
    pub title: String,
    pub bars: Vec<(String, f64)>,
}

/// Draws groups of bars, one below the other. Each group has a scale of its own.
pub(crate) fn bars(path: &Path, groups: &[Bars]) -> anyhow::Result<()> {
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = i32::try_from(bars)? * BAR_HEIGHT + i32::try_from(groups.len())? * TITLE_HEIGHT;
    let area = SVGBackend::new(path, (u32::try_from(WIDTH)?, u32::try_from(height + 16)?))
        .into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error + '_>> {
        area.fill(&WHITE)?;
        let mut top = 8;
        for group in groups {
            draw_group(&area, group, top)?;
            top += TITLE_HEIGHT + i32::try_from(group.bars.len())? * BAR_HEIGHT;
        }
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

fn draw_group<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    group: &Bars,
    top: i32,
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let title = ("sans-serif", 16).into_font().style(FontStyle::Bold).color(&INK);
    let label = ("sans-serif", 13).into_font().color(&INK);
    let most = group.bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
    area.draw(&Text::new(group.title.clone(), (8, top + 12), title))?;
    for (index, (name, figure)) in group.bars.iter().enumerate() {
        let y = top + TITLE_HEIGHT - 8 + i32::try_from(index)? * BAR_HEIGHT;
        #[expect(clippy::cast_possible_truncation, reason = "a length in the picture")]
        let length = (figure / most * f64::from(WIDTH - LABEL_WIDTH - 90)).round() as i32;
        let color = if index == 0 { OURS } else { OTHERS };
        let corners = [(LABEL_WIDTH, y), (LABEL_WIDTH + length.max(1), y + BAR_HEIGHT - 8)];
        area.draw(&Text::new(name.clone(), (8, y + 3), label.clone()))?;
        area.draw(&Rectangle::new(corners, color.filled()))?;
        let at = (LABEL_WIDTH + length + 8, y + 3);
        area.draw(&Text::new(number(*figure), at, label.clone()))?;
    }
    Ok(())
}

/// Draws points on logarithmic axes.
pub(crate) fn line(
    path: &Path,
    title: &str,
    [x_name, y_name]: [&str; 2],
    points: &[(f64, f64)],
) -> anyhow::Result<()> {
    let ends = |values: &dyn Fn(&(f64, f64)) -> f64| {
        let least = points.iter().map(values).fold(f64::MAX, f64::min);
        let most = points.iter().map(values).fold(f64::MIN_POSITIVE, f64::max);
        (least / 1.5)..(most * 1.5)
    };
    let (x, y) = (ends(&|point| point.0), ends(&|point| point.1));
    let area = SVGBackend::new(path, (720, 440)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error + '_>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16).into_font().color(&INK))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x.log_scale(), y.log_scale())?;
        chart
            .configure_mesh()
            .x_desc(x_name)
            .y_desc(y_name)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| number(*value))
            .light_line_style(WHITE)
            .draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), OURS.stroke_width(2)))?;
        let dots = points.iter().map(|point| Circle::new(*point, 4, OURS.filled()));
        chart.draw_series(dots)?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}
