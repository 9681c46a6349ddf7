//! Placeholder.
mod usage;
mod usd;
