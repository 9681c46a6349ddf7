//! `tollgate.env.example` is generated from the settings.

use std::path::Path;

#[test]
fn the_example_is_what_the_settings_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tollgate.env.example");
    let generated = gateway::env_example();
    if std::fs::read_to_string(&path).unwrap_or_default() != generated {
        std::fs::write(&path, &generated).expect("the workspace can be written to");
        panic!(
            "tollgate.env.example did not match the settings; it has been written anew: commit it"
        );
    }
}
