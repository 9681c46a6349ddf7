//! What operators and customers do to the place: one function for the command line, the API and the console.

pub(crate) mod acts;
pub(crate) mod aliases;
pub(crate) mod key_fields;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod organizations;
pub(crate) mod own_keys;
pub(crate) mod people;
