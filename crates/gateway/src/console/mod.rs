//! The console: pages for customers and for operators, made on the server. Sums come from rollups, so that a page costs the
//! same however many receipts there are.

pub(crate) mod assets;
pub(crate) mod chart;
pub(crate) mod html;
pub(crate) mod overview;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod sums;
