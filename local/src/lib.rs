
pub mod postgres;
pub mod process;
pub mod workspace;
