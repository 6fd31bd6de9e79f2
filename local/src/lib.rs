
pub mod postgres;
pub mod process;
pub mod workspace;
pub mod data_api;
pub mod signals;
pub mod stack;
pub mod cli;
