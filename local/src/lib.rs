//! aurora-sync on one machine: a real PostgreSQL, an RDS Data API server over it, the deployed
//! template on an emulator, and the commands of `cargo local`. Nothing here is ever deployed.

pub mod process;
pub mod workspace;
pub mod signals;
pub mod postgres;
pub mod data_api;
pub mod stack;
pub mod story;
pub mod bench;
pub mod cli;
