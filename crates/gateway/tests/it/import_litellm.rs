//! `tollgate import litellm`: models of a config.yaml, and the keys of a database, by their hashes.

use ledger::to_hex;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::{Answer, App, Start};
use crate::books::Books;
use crate::import_supabase::{counts, reason, source};

const CONFIG: &str = "
model_list:
  - model_name: fast
    litellm_params: {model: openai/gpt-4o-mini, api_key: sk-canary-of-a-provider, rpm: 100}
  - model_name: fast
    litellm_params: {model: deepseek/deepseek-chat, api_key: os.environ/DEEP}
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o, api_base: https://api.openai.com/v1}
  - model_name: gpt-4
    litellm_params: {model: openai/gpt-4o}
  - model_name: tuned
    litellm_params: {model: openai/ft:gpt-4o:house, input_cost_per_token: 0.00000375}
    model_info: {output_cost_per_token: 1.5e-05}
  - model_name: unpriced
    litellm_params: {model: openai/ft:gpt-4o:other}
  - model_name: local
    litellm_params: {model: openai/llama, api_base: http://localhost:8000/v1}
  - model_name: azure-gpt
    litellm_params: {model: azure/deployment, api_base: os.environ/AZURE}
  - model_name: 'anthropic/*'
    litellm_params: {model: 'anthropic/*'}
router_settings:
  model_group_alias: {quick: fast, secret: {model: tuned, hidden: true}, broken: nothing}
  fallbacks: [{fast: [gpt-4o]}]
general_settings: {master_key: sk-canary-master}
";

fn hash(key: &str) -> String {
    to_hex(&Sha256::digest(key.as_bytes()))
}

/// As its migrations make the tables, less what nobody reads.
const TABLES: &str = "
    CREATE TABLE \"LiteLLM_UserTable\" (user_id text PRIMARY KEY, user_role text, max_budget double precision,
        budget_duration text, spend double precision DEFAULT 0, models text[] DEFAULT '{}', tpm_limit bigint);
    CREATE TABLE \"LiteLLM_TeamTable\" (team_id text PRIMARY KEY, team_alias text, members_with_roles jsonb DEFAULT '{}',
        admins text[], models text[], max_budget double precision, budget_duration text, blocked boolean DEFAULT false);
    CREATE TABLE \"LiteLLM_BudgetTable\" (budget_id text, max_budget double precision, budget_duration text,
        tpm_limit bigint, rpm_limit bigint);
    CREATE TABLE \"LiteLLM_SpendLogs\" (request_id text);
    CREATE TABLE \"LiteLLM_VerificationToken\" (token text PRIMARY KEY, key_name text, key_alias text,
        spend double precision DEFAULT 0, expires timestamp(3), models text[] DEFAULT '{}', aliases jsonb DEFAULT '{}',
        user_id text, team_id text, max_parallel_requests int, metadata jsonb DEFAULT '{}', blocked boolean,
        tpm_limit bigint, rpm_limit bigint, max_budget double precision, budget_duration text, budget_id text,
        allowed_routes text[] DEFAULT '{}', organization_id text);
";

async fn fill(source: &Books) {
    source.shell(TABLES).await;
    let rows = format!(
        "INSERT INTO \"LiteLLM_UserTable\" VALUES ('ada@example.org', 'proxy_admin', 12.5, '1mo', 3, '{{}}', 100),
            ('bob', 'internal_user', NULL, NULL, 0, '{{fast}}', NULL), ('no good name', NULL, NULL, NULL, 0, '{{}}', NULL);
        INSERT INTO \"LiteLLM_TeamTable\" VALUES
            ('t1', 'house', '[{{\"role\": \"admin\", \"user_id\": \"ada@example.org\"}}, {{\"role\": \"user\", \"user_id\": \"bob\"}}]',
                '{{}}', '{{gpt-4o}}', 100, '30d', false),
            ('t2', 'nobody owns it', '[{{\"role\": \"user\", \"user_id\": \"bob\"}}]', '{{}}', '{{}}', NULL, NULL, false);
        INSERT INTO \"LiteLLM_BudgetTable\" VALUES ('shared', 0.25, '7d', NULL, 9);
        INSERT INTO \"LiteLLM_VerificationToken\" (token, key_name, key_alias, user_id, models, max_budget, budget_duration,
                rpm_limit, tpm_limit, expires, metadata, max_parallel_requests, spend) VALUES
            ('{ada}', 'sk-...Ada1', 'laptop', 'ada@example.org', '{{fast,gpt-4o}}', 5.5, '24h', 60, 100000, '2099-01-31 12:00:00',
                '{{\"guardrails\": [\"pii\"]}}', 3, 1.25),
            ('{late}', 'sk-...Late', 'late', 'ada@example.org', '{{}}', NULL, NULL, NULL, NULL, '2020-01-01 00:00:00.5', '{{}}', NULL, 0);
        INSERT INTO \"LiteLLM_VerificationToken\" (token, key_name, key_alias, user_id, team_id, models, blocked, budget_id) VALUES
            ('{bob}', 'sk-...Bob1', 'own', 'bob', NULL, '{{}}', NULL, 'shared'),
            ('{team}', 'sk-...Team', 'of the team', 'bob', 't1', '{{all-team-models}}', NULL, NULL),
            ('{blocked}', NULL, NULL, 'bob', NULL, '{{}}', true, NULL),
            ('{stray}', 'sk-...Stra', 'stray', NULL, NULL, '{{}}', NULL, NULL),
            ('{lost}', 'sk-...Lost', 'lost', 'bob', 't2', '{{}}', NULL, NULL),
            ('{none}', 'sk-...None', 'none', 'bob', NULL, '{{anthropic/*}}', NULL, NULL),
            ('not-a-hash', 'sk-...Hash', 'odd', 'bob', NULL, '{{}}', NULL, NULL)",
        ada = hash(ADA),
        late = hash("sk-late-key-of-ada-0001"),
        bob = hash(BOB),
        team = hash(TEAM),
        blocked = hash(BLOCKED),
        stray = hash(STRAY),
        lost = hash("sk-lost-key"),
        none = hash("sk-none-key"),
    );
    source.shell(&rows).await;
}

const ADA: &str = "sk-ada-0123456789abcdefAda1";
const BOB: &str = "sk-bob-0123456789abcdefBob1";
const TEAM: &str = "sk-team-0123456789abcdeTeam";
const BLOCKED: &str = "sk-blocked-0123456789abcdef";
const STRAY: &str = "sk-stray-0123456789abcdStra";

#[tokio::test]
async fn models_of_a_config() {
    let books = Books::sqlite();
    let file = books.folder.path().join("config.yaml");
    std::fs::write(&file, CONFIG).expect("written");
    let import = ["import", "litellm", "--config", file.to_str().expect("text")];
    let look = books.cli_json(&import).await;
    assert_eq!(
        books.cli_json(&["model", "alias", "list"]).await,
        json!([]),
        "a look changes nothing"
    );
    assert_eq!(counts(&look, "model_list"), [9, 1, 2, 6], "{look}");
    assert_eq!(counts(&look, "aliases"), [3, 0, 2, 1], "{look}");
    assert_eq!(counts(&look, "prices"), [1, 0, 1, 0], "{look}");
    for (which, words) in [
        ("fast (deepseek", "the first deployment counts"),
        ("gpt-4", "is a model's own name"),
        ("unpriced", "is not in the price list"),
        ("local", "an address of its own"),
        ("azure-gpt", "no provider azure"),
        ("anthropic/*", "a wildcard"),
    ] {
        assert!(reason(&look, "model_list", which).contains(words), "{which}: {look}");
    }
    assert!(reason(&look, "config.yaml", "router_settings.fallbacks").contains("`models`"));
    assert!(
        reason(&look, "config.yaml", "general_settings.master_key")
            .contains("no key to everything")
    );
    let done = books.cli(&[&import[..], &["--apply"]].concat()).await;
    assert!(done.contains("The key of openai belongs into OPENAI_API_KEY"), "{done}");
    assert!(done.contains("LiteLLM had it in DEEP"), "{done}");
    assert!(
        !done.contains("canary") && !look.to_string().contains("canary"),
        "a secret is printed"
    );
    let again = books.cli_json(&[&import[..], &["--apply"]].concat()).await;
    assert_eq!(counts(&again, "model_list"), [9, 3, 0, 6], "{again}");
    assert_eq!(counts(&again, "aliases"), [3, 2, 0, 1], "{again}");
    assert_eq!(counts(&again, "prices"), [1, 1, 0, 0], "{again}");
    let names = books.cli_json(&["model", "alias", "list"]).await;
    let names: Vec<(&str, &str, bool)> = names
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().expect("text");
            (text("alias"), text("model"), one["hidden"] == true)
        })
        .collect();
    assert_eq!(
        names,
        [
            ("fast", "openai/gpt-4o-mini", false),
            ("quick", "openai/gpt-4o-mini", false),
            ("secret", "openai/ft:gpt-4o:house", true),
            ("tuned", "openai/ft:gpt-4o:house", false),
        ]
    );
    let price = books.cli_json(&["prices", "show", "openai/ft:gpt-4o:house"]).await;
    assert_eq!(price["prices"]["input"]["standard"], 3_750_000);
    assert_eq!(price["prices"]["output"]["standard"], 15_000_000);
    for (text, words) in [("model_list: sk-canary", "line 1"), ("a: [", "line")] {
        std::fs::write(&file, text).expect("written");
        let refused = books.refused(&import).await;
        assert!(refused.contains("config.yaml") && refused.contains(words), "{refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
    let refused = books.refused(&["import", "litellm"]).await;
    assert!(refused.contains("--config") && refused.contains("--from"), "{refused}");
}

async fn check_moving_in(books: Books, source: Books) {
    fill(&source).await;
    let file = books.folder.path().join("config.yaml");
    std::fs::write(&file, CONFIG).expect("written");
    let config = file.to_str().expect("text");
    let import = ["import", "litellm", "--from", &source.url, "--config", config];
    let look = books.cli_json(&import).await;
    assert_eq!(books.cli_json(&["user", "list"]).await, json!([]));
    check_look(&look);
    books.cli(&[&import[..], &["--apply"]].concat()).await;
    let owned = [&import[..], &["--apply", "--owner", "ada@example.org"]].concat();
    let more = books.cli_json(&owned).await;
    assert_eq!(counts(&more, "keys"), [9, 5, 2, 2], "{more}");
    assert_eq!(counts(&more, "teams"), [2, 1, 1, 0], "{more}");
    let again = books.cli_json(&owned).await;
    assert_eq!(counts(&again, "keys"), [9, 7, 0, 2], "twice is once");
    assert_eq!((counts(&again, "users"), counts(&again, "teams")), ([3, 2, 0, 1], [2, 2, 0, 0]));

    check_keys(&books).await;
    let app = App::start_with_key(books, Start::default(), ADA.to_owned()).await;
    check_answers(&app).await;
    app.close().await;
    source.remove().await;
}

fn check_look(look: &Value) {
    assert_eq!(counts(look, "users"), [3, 0, 2, 1], "{look}");
    assert_eq!(counts(look, "teams"), [2, 0, 1, 1], "{look}");
    assert_eq!(counts(look, "keys"), [9, 0, 5, 4], "{look}");
    for (what, which, words) in [
        ("keys", "stray", "--owner NAME takes"),
        ("keys", "lost", "its team cannot come"),
        ("keys", "none", "none of its models"),
        ("keys", "odd", "no SHA-256"),
        ("keys", "laptop", "stays behind"),
        ("users", "no good name", "letters"),
        ("teams", "nobody owns it", "--owner NAME"),
        ("teams", "house", "30d"),
        ("tables", "LiteLLM_SpendLogs", "not brought"),
    ] {
        assert!(reason(look, what, which).contains(words), "{which}: {look}");
    }
    let told: Vec<&str> = look["cannot"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["which"] == "laptop" || row["which"] == "ada@example.org")
        .map(|row| row["why"].as_str().expect("text"))
        .collect();
    for words in ["guardrails", "1.25 dollars", "no operator", "tpm_limit stays behind"] {
        assert!(told.iter().any(|why| why.contains(words)), "{words}: {told:?}");
    }
}

async fn check_keys(books: &Books) {
    let keys = books.cli_json(&["key", "list"]).await;
    let key = |name: &str| -> Value {
        let keys = keys.as_array().expect("a list").iter();
        keys.clone().find(|key| key["name"] == name).expect("the key").clone()
    };
    let laptop = key("laptop");
    assert_eq!(laptop["models"], json!(["openai/gpt-4o-mini", "openai/gpt-4o"]));
    assert_eq!(
        (&laptop["requests_per_minute"], &laptop["tokens_per_minute"]),
        (&60.into(), &100_000.into())
    );
    assert_eq!(laptop["concurrent_requests"], 3);
    assert_eq!((&laptop["key_prefix"], &laptop["last4"]), (&"sk-".into(), &"Ada1".into()));
    assert_eq!(laptop["expires_at"], "2099-01-31T12:00:00Z");
    assert_eq!(key("of the team")["models"], json!(["openai/gpt-4o"]));
    assert_eq!(key("own")["models"], json!(["openai/gpt-4o-mini"]), "as narrow as its user");
    assert_eq!(
        (&key("own")["requests_per_minute"], &key("")["disabled"]),
        (&9.into(), &true.into())
    );
    let budgets = books.cli_json(&["budget", "list"]).await;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let budgets = budgets.as_array().expect("a list").iter();
    let mut limits: Vec<[String; 3]> = budgets
        .map(|one| [text(&one["owner"]["kind"]), text(&one["period"]), text(&one["limit"])])
        .collect();
    limits.sort();
    let expected = [
        ["account", "month", "100"],
        ["key", "day", "5.5"],
        ["key", "week", "0.25"],
        ["user", "month", "12.5"],
    ];
    assert_eq!(limits, expected);
    let house = books.cli_json(&["org", "show", "house"]).await;
    assert_eq!(house["members"].as_array().map(Vec::len), Some(2));
}

async fn check_answers(app: &App) {
    let ask = async |model: &str, key: &str| {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] });
        let request = app.request(Method::POST, "/v1/chat/completions").json(&body);
        Answer::of(request.bearer_auth(key)).await.status
    };
    assert_eq!(ask("fast", ADA).await, 200);
    assert_eq!(ask("quick", BOB).await, 200);
    assert_eq!(ask("gpt-4o", BOB).await, 403);
    assert_eq!(ask("gpt-4o", TEAM).await, 200);
    assert_eq!(ask("fast", TEAM).await, 403);
    assert_eq!(ask("gpt-4o", BLOCKED).await, 401);
    assert_eq!(ask("secret", STRAY).await, 200, "a hidden name works");
    assert_eq!(ask("gpt-4o", "sk-late-key-of-ada-0001").await, 401);
}

/// A house in which names stand for somebody else than here: `other`, `boss` and `carl` were here before.
async fn fill_strangers(source: &Books) {
    source.shell(TABLES).await;
    let tokens = [
        ("to other", "'mallory'", "'t-other'", "NULL"),
        ("by id", "'mallory'", "'other'", "NULL"),
        ("of boss", "'boss'", "NULL", "NULL"),
        ("of carl", "'carl'", "NULL", "NULL"),
        ("inside", "'bob'", "'t-own'", "NULL"),
        ("outside", "'mallory'", "'t-own'", "NULL"),
        ("above", "'mallory'", "NULL", "'other'"),
        ("stray", "NULL", "NULL", "NULL"),
    ];
    let tokens = tokens.map(|(name, user, team, organization)| {
        let token = hash(&format!("sk-{name}"));
        format!("('{token}', '{name}', {user}, {team}, {organization})")
    });
    let rows = format!(
        "INSERT INTO \"LiteLLM_UserTable\" (user_id) VALUES ('mallory'), ('boss'), ('carl'), ('ada'), ('bob');
        INSERT INTO \"LiteLLM_TeamTable\" (team_id, team_alias, members_with_roles) VALUES
            ('t-other', 'other', '[{{\"role\": \"admin\", \"user_id\": \"mallory\"}}]'),
            ('other', NULL, '[{{\"role\": \"admin\", \"user_id\": \"mallory\"}}]'),
            ('t-own', 'own', '[{{\"role\": \"admin\", \"user_id\": \"ada\"}}, {{\"role\": \"user\", \"user_id\": \"bob\"}},
                {{\"role\": \"user\", \"user_id\": \"ghost\"}}, {{\"role\": \"user\", \"user_id\": \"carl\"}},
                {{\"role\": \"user\", \"user_email\": \"mail@example.org\"}}]');
        INSERT INTO \"LiteLLM_VerificationToken\" (token, key_alias, user_id, team_id, organization_id) VALUES {}",
        tokens.join(", ")
    );
    source.shell(&rows).await;
}

/// Everything that is told of one thing.
fn reasons<'a>(report: &'a Value, what: &str, which: &str) -> Vec<&'a str> {
    let rows = report["cannot"].as_array().expect("a list").iter();
    let rows = rows.filter(|row| row["what"] == what && row["which"] == which);
    rows.map(|row| row["why"].as_str().expect("text")).collect()
}

fn check_strangers(report: &Value) {
    for (what, which, words) in [
        ("teams", "other", "no import made of this team: give the team another alias"),
        ("teams", "own", "its member ghost does not come: LiteLLM has no user"),
        ("teams", "own", "its member mail@example.org has no user_id"),
        ("teams", "own", "its member carl does not come"),
        ("users", "boss", "an operator here has that name"),
        ("users", "carl", "--join carl"),
        ("keys", "to other", "its team cannot come: an organization other is here"),
        ("keys", "by id", "its team cannot come: an organization other is here"),
        ("keys", "of boss", "its user cannot come: an operator"),
        ("keys", "of carl", "its user cannot come: a user here has that name"),
        ("keys", "outside", "`tollgate org member set own mallory --role member`"),
        ("keys", "stray", "--owner NAME takes"),
    ] {
        let told = reasons(report, what, which);
        assert!(told.iter().any(|why| why.contains(words)), "{which}: {words}: {report}");
    }
}

/// The names of keys that are here, each with the name of whose account it spends from.
async fn payers(books: &Books) -> Vec<(String, String)> {
    let store = books.store().await;
    let users = store.users().await.expect("the users");
    let mut payers = Vec::new();
    for key in store.all_keys().await.expect("the keys") {
        let payer = users.iter().find(|user| user.account_id == key.account_id);
        payers.push((key.name, payer.expect("somebody pays").name.clone()));
    }
    payers.sort();
    store.close().await;
    payers
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, payer)| ((*name).to_owned(), (*payer).to_owned())).collect()
}

async fn check_names_of_others(books: &Books, source: &Books) {
    fill_strangers(source).await;
    for command in [
        &["user", "add", "eve"][..],
        &["user", "add", "carl"],
        &["user", "add", "boss", "--operator"],
        &["org", "add", "other", "--owner", "eve"],
    ] {
        books.cli(command).await;
    }
    let import = ["import", "litellm", "--from", &source.url];
    let apply = [&import[..], &["--apply"]].concat();
    let look = books.cli_json(&import).await;
    assert_eq!(payers(books).await, pairs(&[]), "a look changes nothing");
    let done = books.cli_json(&apply).await;
    for report in [&look, &done] {
        assert_eq!(counts(report, "users"), [5, 0, 3, 2], "{report}");
        assert_eq!(counts(report, "teams"), [3, 0, 1, 2], "{report}");
        assert_eq!(counts(report, "keys"), [8, 0, 2, 6], "{report}");
        let above = reasons(report, "keys", "above");
        assert!(above.iter().any(|why| why.contains("organization_id stays behind")), "{report}");
        check_strangers(report);
    }
    let came = pairs(&[("above", "mallory"), ("inside", "own")]);
    assert_eq!(payers(books).await, came);
    let other = books.cli_json(&["org", "show", "other"]).await;
    assert_eq!(other["members"].as_array().map(Vec::len), Some(1), "{other}");

    let again = books.cli_json(&apply).await;
    assert_eq!(counts(&again, "users"), [5, 3, 0, 2], "{again}");
    assert_eq!(counts(&again, "teams"), [3, 1, 0, 2], "{again}");
    assert_eq!(counts(&again, "keys"), [8, 2, 0, 6], "{again}");
    check_strangers(&again);
    assert_eq!(payers(books).await, came, "twice is once");
}

/// What the report says can be done brings what could not come; operators get no key, whatever is said.
async fn check_what_to_do(books: &Books, source: &Books) {
    let import = ["import", "litellm", "--from", &source.url];
    let apply = [&import[..], &["--apply", "--join", "carl"]].concat();
    let refused = books.refused(&[&import[..], &["--join", "nobody"]].concat()).await;
    assert!(refused.contains("--join: there is no user nobody"), "{refused}");
    let boss = [&import[..], &["--owner", "boss", "--join", "boss"]].concat();
    let look = books.cli_json(&boss).await;
    for which in ["stray", "of boss"] {
        assert!(reason(&look, "keys", which).contains("boss is an operator here"), "{look}");
    }
    let member = ["org", "member", "set", "own", "mallory", "--role"];
    books.cli(&[&member[..], &["billing"]].concat()).await;
    let look = books.cli_json(&import).await;
    assert!(reason(&look, "keys", "outside").contains("who may have keys"), "who pays has none");
    books.cli(&[&member[..], &["member"]].concat()).await;
    // A team that is called otherwise by now is still the one that came.
    source
        .shell(
            "UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'theirs' WHERE team_id = 't-other';
            UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'renamed' WHERE team_id = 't-own'",
        )
        .await;
    let done = books.cli_json(&apply).await;
    assert_eq!(counts(&done, "users"), [5, 4, 0, 1], "{done}");
    assert_eq!(counts(&done, "teams"), [3, 1, 1, 1], "{done}");
    assert_eq!(counts(&done, "keys"), [8, 2, 3, 3], "{done}");
    let told = reasons(&done, "teams", "own");
    assert!(
        told.iter().any(|why| why.contains("its member carl may have no keys to it")),
        "{done}"
    );
    let came = pairs(&[
        ("above", "mallory"),
        ("inside", "own"),
        ("of carl", "carl"),
        ("outside", "own"),
        ("to other", "theirs"),
    ]);
    assert_eq!(payers(books).await, came);
    let again = books.cli_json(&apply).await;
    assert_eq!(counts(&again, "teams"), [3, 2, 0, 1], "{again}");
    assert_eq!(counts(&again, "keys"), [8, 5, 0, 3], "{again}");
    assert_eq!(payers(books).await, came, "twice is once");

    // Who came and runs the place since gets no more keys either.
    books.cli(&["user", "operator", "bob", "--yes"]).await;
    let token = hash("sk-one more of bob");
    let more = format!(
        "INSERT INTO \"LiteLLM_VerificationToken\" (token, key_alias, user_id) VALUES ('{token}', 'one more', 'bob')"
    );
    source.shell(&more).await;
    let done = books.cli_json(&apply).await;
    assert_eq!(counts(&done, "users"), [5, 4, 0, 1], "{done}");
    assert!(reason(&done, "keys", "one more").contains("bob is an operator here"), "{done}");
    assert_eq!(payers(books).await, came);
    books.audit().await;
}

mod strangers {
    use super::{check_names_of_others, check_what_to_do, source};
    use crate::books::Books;

    async fn check(books: Books, source: Books) {
        check_names_of_others(&books, &source).await;
        check_what_to_do(&books, &source).await;
        books.remove().await;
        source.remove().await;
    }

    #[tokio::test]
    async fn sqlite() {
        if let Some(source) = source("llm_c").await {
            Box::pin(check(Books::sqlite(), source)).await;
        }
    }

    #[tokio::test]
    async fn postgres() {
        let (source, books) = (source("llm_d").await, Books::postgres("llm_strangers").await);
        if let (Some(source), Some(books)) = (source, books) {
            Box::pin(check(books, source)).await;
        }
    }
}

mod into {
    use super::{check_moving_in, source};
    use crate::books::Books;

    #[tokio::test]
    async fn sqlite() {
        if let Some(source) = source("llm_a").await {
            Box::pin(check_moving_in(Books::sqlite(), source)).await;
        }
    }

    #[tokio::test]
    async fn postgres() {
        let (source, books) = (source("llm_b").await, Books::postgres("llm").await);
        if let (Some(source), Some(books)) = (source, books) {
            Box::pin(check_moving_in(books, source)).await;
        }
    }
}
