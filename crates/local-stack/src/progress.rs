//! Progress of steps that take seconds or minutes.

use std::time::Instant;

/// Reports a step, such as `building the functions`, and then the seconds that it took.
pub(crate) async fn step<T>(
    name: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tracing::info!("{name}");
    let started = Instant::now();
    let done = work.await?;
    tracing::info!("{name}: done in {:.1} s", started.elapsed().as_secs_f64());
    Ok(done)
}
