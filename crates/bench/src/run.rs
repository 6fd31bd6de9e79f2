//! Measures the parts one after the other.

use std::path::PathBuf;

use local_stack::Functions;

use crate::data::Table;
use crate::environment::BenchEnv;
use crate::report::{self, Part};
use crate::settings::{Name, Settings};
use crate::{cost, growth, import, lookups, memory, prune, startup, writes};

/// Measures these parts, prints each as it is done, and keeps the figures in the folder `keep`.
pub async fn run(
    settings: &Settings,
    names: &[Name],
    programs: Functions,
    keep: Option<PathBuf>,
    print: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    let env = BenchEnv::prepare(programs, settings.environment.clone()).await?;
    if let Some(delay) = settings.call_delay {
        env.delay_calls(delay);
    }
    let postgres = env.postgres_version().await?;
    let keep = |part: &Part| match &keep {
        Some(folder) => report::keep(folder, settings, &postgres, part),
        None => Ok(()),
    };
    for name in names {
        let part = match name {
            Name::Import => {
                let mut done = |measured: &[import::Measured]| {
                    if let Some(table) = import::tables(measured).last() {
                        print(&table.show());
                    }
                    keep(&Part::Import(measured.to_vec()))
                };
                import::measure(&env, settings, &mut done).await?;
                continue;
            }
            Name::Writes => Part::Writes(writes::measure(&env, settings).await?),
            Name::Lookups => Part::Lookups(lookups::measure(&env, settings).await?),
            Name::Startup => Part::Startup(startup::measure(&env, settings).await?),
            Name::Memory => Part::Memory(memory::measure(&env, settings).await?),
            Name::Growth => Part::Growth {
                import: growth::measure(&env, settings, Table::Staff, settings.growth()).await?,
                backlog: writes::drain(&env, settings.backlog()).await?,
            },
            Name::Prune => Part::Prune(prune::measure(&env, settings).await?),
            Name::Cost => Part::Cost(cost::measure(&env, settings).await?),
        };
        part.tables().iter().for_each(|table| print(&table.show()));
        keep(&part)?;
    }
    Ok(())
}
