"""A league of any size, written into a PostgreSQL by itself: policies in a season, and the matches they have played."""

import json
from string import Template

from sqlalchemy import text

from metta.eval.match import Match, Player, engine_version
from metta.league.seasons import SeasonSettings
from metta.league.store.database import Database
from metta.league.store.seasons import add_season

SEASON = "measured"
OF_A_USER = 20  # policies

PEOPLE = """
CREATE TEMP TABLE who AS SELECT k, gen_random_uuid() AS version, gen_random_uuid() AS policy,
    encode(sha256(k::text::bytea), 'hex') AS digest, 2 * sin(k * 12.9) AS strength
    FROM generate_series(0, $policies - 1) AS k;
CREATE UNIQUE INDEX ON who (k);
ANALYZE who;
CREATE TEMP TABLE owner AS SELECT k, gen_random_uuid() AS id FROM generate_series(0, $policies / $of_a_user) AS k;
INSERT INTO users (id, created_at, name, admin) SELECT id, now(), 'user-' || k, false FROM owner;
INSERT INTO policies (id, created_at, user_id, name)
    SELECT policy, now(), owner.id, 'policy-' || who.k FROM who JOIN owner ON owner.k = who.k / $of_a_user;
INSERT INTO versions (id, created_at, policy_id, number, sha256, size, status, digest, kind)
    SELECT version, now() - (k || ' seconds')::interval, policy, 1, digest, 1000, 'valid', digest, 'script' FROM who;
INSERT INTO entries (id, created_at, pool_id, version_id, completed, failed, pending)
    SELECT gen_random_uuid(), now(), pools.id, version, 2 * $matches / $policies, 0, 0 FROM who, pools;
"""
# Policy k plays with the one after it, then the second after it, …: each has a number of partners, as in a season.
MATCHES = """
CREATE TEMP TABLE pair AS SELECT gen_random_uuid() AS id, n, a.version AS a, b.version AS b, a.digest AS first,
    b.digest AS second, 1 + n / $policies % $shared AS seats, 42 + n / ($policies * $shared) AS seed,
    now() - (($matches - n) * 10 || ' milliseconds')::interval AS ended,
    (a.strength * (1 + n / $policies % $shared) + b.strength * ($shared - n / $policies % $shared)) / (1 + $shared)
        + random() + random() AS score
    FROM generate_series(0, $matches - 1) AS n JOIN who AS a ON a.k = n % $policies
    JOIN who AS b ON b.k = (n % $policies + 1 + n / $policies) % $policies;
INSERT INTO matches (id, created_at, pool_id, status, mission, spec, result_hash, finished_at, replays)
    SELECT pair.id, ended - interval '1 minute', pools.id, 'completed', $mission,
    replace(replace(replace(replace(replace($spec, '@first', first), '@second', second), '@own', seats::text),
        '@other', (1 + $shared - seats)::text), '@seed', seed::text)::json, first, ended, '{}'
    FROM pair, pools WHERE pools.place = 1;
INSERT INTO match_players (match_id, place, version_id, seats, score, scores, faults)
    SELECT id, 0, a, seats, score, json_build_array(score), '{}'::json FROM pair
    UNION ALL SELECT id, 1, b, 1 + $shared - seats, score, json_build_array(score), '{}'::json FROM pair;
INSERT INTO jobs (id, created_at, kind, subject, engine, status, run_after, attempts, lease, worker)
    SELECT gen_random_uuid(), ended, 'match', id, $engine, 'done', ended, 1, gen_random_uuid(), 'worker' FROM pair;
UPDATE seasons SET results = $matches;
DROP TABLE who, owner, pair;
"""


def fill(address: str, policies: int, matches: int) -> None:
    """A season in progress: all policies are in both of its pools, and have played the matches in the last one."""
    database = Database(address)
    database.migrate()
    pools = [
        {"name": "qualifying", "partners": "self", "matches": 2, "threshold": 0.1},
        {"name": "competition", "partners": "pool", "matches": 2 * matches // policies + 20},
    ]
    tree = {"name": SEASON, "default": True, "missions": [{"name": "cogsguard_arena.basic"}], "pools": pools}
    settings = SeasonSettings.model_validate(tree)
    with database.transaction() as session:
        add_season(session, settings, engine_version())
    with database.engine.begin() as connection:
        words = {"policies": policies, "matches": matches, "of_a_user": OF_A_USER, **_match(settings)}
        connection.connection.cursor().execute(Template(PEOPLE + MATCHES).substitute(words))  # all statements at once
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    database.engine.dispose()


def _match(settings: SeasonSettings) -> dict[str, object]:
    """A match of two policies as the league keeps it, with names for what differs from match to match."""
    [(name, mission)] = settings.build_missions().items()
    players = [Player(policy=digit * 64, seats=mission.agents // 2, name="policy:v1") for digit in "ab"]
    match = Match(mission=mission, players=tuple(players), seeds=(42,), map_seeds=(42,), engine=engine_version())
    spec = match.model_dump(mode="json")
    for player, digest, seats in zip(spec["players"], ("@first", "@second"), ("@own", "@other"), strict=True):
        player |= {"policy": digest, "seats": seats}
    spec |= {"seeds": "@seeds", "map_seeds": "@seeds"}
    said = json.dumps(spec).replace('"@seeds"', "[[@seed, 1]]").replace('"@own"', "@own").replace('"@other"', "@other")
    return {
        "mission": _quoted(name), "spec": _quoted(said), "shared": mission.agents - 1, "engine": _quoted(match.engine)
    }  # fmt: skip


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
