"""The rows of the table: which programs run, what they report, what DESIGN section 8 asks."""

from __future__ import annotations

from dataclasses import dataclass

MB_800 = "800000000"
MB_400 = "400000000"


@dataclass(frozen=True)
class Metric:
    """One figure that the contestants' programs report.

    name, unit: as the programs print them.
    more: whether more is better.
    must: DESIGN's last column for Sundog; None where it has no figure.
    cpu_us_must: CPU microseconds an operation that DESIGN allows; None where it names none.
    floor: the floor's figure to set beside ours; empty if there is none.
    floor_share: what DESIGN asks relative to the floor: at least this share of a rate, or at most
        this multiple of a time; meets the row as well as `must` does.
    gate_ray: a release must be this many times better than Ray, unless it meets DESIGN's figure.
    exact: a release must meet DESIGN's figure itself: rows of bytes, whose limit is the memory.
    """

    name: str
    unit: str
    more: bool = False
    must: float | None = None
    cpu_us_must: float | None = None
    floor: str = ""
    floor_share: float | None = None
    gate_ray: float | None = None
    exact: bool = False


@dataclass(frozen=True)
class Program:
    """What one contestant runs: a module of bench/programs, or a C file of bench/floors.

    environment: the folder of a virtual environment that Sundog's program needs; empty: ours.
    ray_environment: the same for Ray's; empty: Ray's own.
    """

    name: str
    arguments: tuple[str, ...] = ()
    environment: str = ""
    ray_environment: str = ""


@dataclass(frozen=True)
class Row:
    """One row: the same program for Sundog and for Ray, and its floors, in turn.

    rounds: fresh processes for Sundog and the floors, unless the caller says otherwise.
    ray_rounds: the same for Ray, whose start takes seconds; 0 leaves Ray out.
    peers: other contestants that do the same job; what one of them has no call for is left out.
    peer_rounds: the same for each of them.
    """

    name: str
    title: str
    program: Program
    metrics: tuple[Metric, ...]
    floors: tuple[Program, ...] = ()
    rounds: int = 5
    ray_rounds: int = 3
    published: str = ""
    peers: tuple[str, ...] = ()
    peer_rounds: int = 2


ALL_PEERS = ("dask", "pool", "executor", "joblib")


START = (
    Row(
        "start",
        "start of a session",
        Program("start"),
        (
            Metric("init returns", "s", must=0.12, gate_ray=30, floor="process start and end"),
            Metric("eight first results", "s", must=0.08, gate_ray=30, floor="fork and end"),
        ),
        (Program("process_start.c"),),
        rounds=10,
        peers=ALL_PEERS,
    ),
    Row(
        "start_without_init",
        "start by the first call",
        Program("start_without_init"),
        (Metric("no init, four results", "s", must=0.1, gate_ray=30),),
        rounds=10,
    ),
    Row(
        "eight_sleepers",
        "exercise 10's start",
        Program("eight_sleepers"),
        (
            Metric("eight sleepers after init", "s", must=0.18),
            Metric("... processes used", "", more=True, must=8),
            Metric("... all eight overlap", "", more=True, must=1),
        ),
        rounds=20,
        peers=ALL_PEERS,
    ),
    Row(
        "import",
        "import in a fresh process",
        Program("import_time"),
        (Metric("import", "s", must=0.04),),
        rounds=15,
        ray_rounds=5,
        peers=ALL_PEERS,
    ),
    Row(
        "idle",
        "idle session, 4 CPUs",
        Program("idle"),
        (
            Metric("idle session, memory", "MB", must=40, gate_ray=8, floor="one bare Python"),
            Metric("idle session, wake-ups", "/s", must=5),
            Metric("idle session, CPU (driver left out)", "ms/s"),
            Metric("idle session, processes", ""),
        ),
        (Program("bare_python"),),
        rounds=3,
        ray_rounds=2,
        peers=ALL_PEERS,
    ),
)

TASKS = (
    Row(
        "task",
        "task, one at a time",
        Program("task_one_at_a_time"),
        (
            Metric(
                "task, one at a time",
                "/s",
                more=True,
                must=20_000,
                floor="4 hops",
                floor_share=0.5,
                gate_ray=30,
            ),
            Metric("... p99 to p50", "x", must=5),
        ),
        (Program("hop4.c", ("1.5",)), Program("pipe_echo")),
        rounds=8,
        peers=ALL_PEERS,
    ),
    Row(
        "tasks_1000",
        "1,000 tasks, then get",
        Program("tasks_in_batches", ("1000",)),
        (
            Metric(
                "1,000 tasks, then get",
                "/s",
                more=True,
                must=150_000,
                cpu_us_must=8,
                floor="process pool",
                gate_ray=30,
            ),
        ),
        (Program("process_pool", ("1000",)),),
        peers=ALL_PEERS,
    ),
    Row(
        "tasks_20000",
        "20,000 tasks end to end",
        Program("tasks_in_batches", ("20000",)),
        (
            Metric(
                "20,000 tasks, then get",
                "/s",
                more=True,
                must=150_000,
                cpu_us_must=8,
                floor="process pool",
                gate_ray=30,
            ),
        ),
        (Program("process_pool", ("20000",)),),
        peers=ALL_PEERS,
    ),
    Row(
        "map_million",
        "a trivial function over a million items",
        Program("map_million"),
        (Metric("map over 1,000,000 items", "s"),),
        rounds=3,
        ray_rounds=0,
        peers=("pool", "joblib"),
        peer_rounds=1,
    ),
    Row(
        "submitters",
        "four submitters, 500 tasks each",
        Program("submitters"),
        (Metric("4 submitters x 500", "/s", more=True, must=150_000, cpu_us_must=8, gate_ray=30),),
        peers=("dask",),
    ),
    Row(
        "queued",
        "1,000,000 queued tasks",
        Program("queued"),
        (
            Metric("1,000,000 queued tasks", "s", must=8),
            Metric("... submitting alone", "s"),
            Metric("... memory grown, queued", "MB", must=700),
        ),
        rounds=3,
        ray_rounds=0,
        published="Ray's own figure for a million queued tasks, on 64 cores: 184 s (published)",
    ),
    Row(
        "daemon_cpu",
        "the daemon's own CPU a task",
        Program("daemon_cpu"),
        (
            Metric("daemon's CPU a task, 1 client", "us", must=2),
            Metric("daemon's CPU a task, 1 client, 1,000 tasks in flight", "us", must=2),
            Metric("daemon's CPU a task, 64 clients", "us", must=2),
            Metric("daemon's CPU a task, 1,000 clients", "us", must=2),
            Metric("... sleeps a task, 1 client", ""),
            Metric("... one sleep of a thread, CPU", "us"),
            Metric("... one wake-up by it, CPU", "us"),
        ),
        rounds=3,
        ray_rounds=0,
    ),
    Row(
        "cpp_calls",
        "calls from C++ beside calls from Python",
        Program("cpp_calls"),
        (
            Metric("driver's CPU, a call from C++", "us"),
            Metric("driver's CPU, a call from Python", "us"),
            Metric("... C++ to Python", "x", must=0.5),
            Metric("1,000 calls from C++, then get", "/s", more=True),
            Metric("1,000 calls from Python, then get", "/s", more=True),
        ),
        rounds=1,
        ray_rounds=0,
    ),
)

ACTORS = (
    Row(
        "actor_calls",
        "calls of one actor",
        Program("actor_calls", ("1000",)),
        (
            Metric(
                "actor call, one at a time",
                "/s",
                more=True,
                must=20_000,
                floor="4 hops",
                floor_share=0.5,
                gate_ray=30,
            ),
            Metric("1,000 actor calls, then get", "/s", more=True, must=150_000, gate_ray=30),
            Metric("... slower beside 1,000 idle actors", "x", must=1.2),
        ),
        (Program("hop4.c", ("1.5",)),),
        rounds=4,
        ray_rounds=2,
        peers=("dask",),
    ),
    Row(
        "actors_created",
        "actors made, and the memory of one",
        Program("actors_created", ("1000",)),
        (
            Metric("actors created", "/s", more=True, must=300, gate_ray=30),
            Metric("memory of one actor", "MB", must=5, gate_ray=8),
            Metric("... alive at once", "", more=True),
            Metric("... a call, one to each", "us"),
        ),
        rounds=3,
        ray_rounds=1,
    ),
)

OBJECTS = (
    Row(
        "put_get",
        "put and get of a small value",
        Program("put_get_small"),
        (
            Metric("put, small value", "/s", more=True, must=1_000_000, gate_ray=30),
            Metric("get, small value", "/s", more=True, must=2_000_000, gate_ray=30),
        ),
        peers=("dask",),
    ),
    Row(
        "wait",
        "wait one by one over 1,000 refs",
        Program("wait_one_by_one"),
        (Metric("wait, one by one over 1,000", "rounds/s", more=True, must=100, gate_ray=30),),
        peers=("executor",),  # Dask takes minutes for one round
    ),
    Row(
        "put_large",
        "put of 800 MB",
        Program("put_large"),
        (
            Metric(
                "put 800 MB, first",
                "GB/s",
                more=True,
                must=4.0,
                floor="memcpy, fresh pages",
                floor_share=0.8,
                exact=True,
            ),
            Metric("put 800 MB, first of the program", "GB/s", more=True),
            Metric(
                "put 800 MB, again",
                "GB/s",
                more=True,
                floor="memcpy, warm pages",
                floor_share=0.95,
                exact=True,
            ),
        ),
        (Program("memcpy.c", (MB_800,)),),
        rounds=4,
        ray_rounds=2,
        peers=("dask", "pool", "joblib"),
    ),
    Row(
        "weights",
        "400 MB of weights",
        Program("weights"),
        (
            Metric(
                "400 MB of weights, put",
                "ms",
                floor="memcpy, warm pages, time",
                floor_share=1.1,
                exact=True,
            ),
            Metric("400 MB of weights, first put", "ms", floor="pickle.dumps"),
            Metric("400 MB of weights, get", "ms", must=0.3, floor="pickle.loads", exact=True),
        ),
        (Program("memcpy.c", (MB_400,)), Program("pickle_weights")),
        rounds=4,
        ray_rounds=2,
        peers=("dask", "joblib"),
    ),
    Row(
        "many_objects",
        "many references",
        Program("many_objects"),
        (
            Metric("10,000 refs to one task", "s", must=0.1),
            Metric("3,000 results of one task", "s", must=0.03),
            Metric("get of 2,000 store objects", "s", must=0.02),
        ),
        peers=("dask",),
        peer_rounds=1,
    ),
    Row(
        "placement_group",
        "placement groups, a hundred at a time",
        Program("placement_groups"),
        (Metric("placement groups made and removed", "/s", more=True, must=10_000, gate_ray=30),),
        rounds=3,
        ray_rounds=2,
    ),
    Row(
        "readers",
        "eight readers of one 400 MB object",
        Program("readers"),
        (
            Metric("8 readers of 400 MB, workers", "MB", must=450),
            Metric("8 readers of 400 MB, session", "MB", must=450),
        ),
        rounds=2,
        ray_rounds=1,
        peers=("dask", "pool"),
        peer_rounds=1,
    ),
)

TORCH, RAY_TORCH = ".venv-torch", ".venv-ray-torch"
MODELS = (
    Row(
        "models",
        "BERT-base, 438 MB, until it can be used",
        Program("models", environment=TORCH, ray_environment=RAY_TORCH),
        (
            Metric("whole model, get", "ms", must=5, floor="rebuilding the same modules"),
            Metric("... first get after put", "ms", must=5),
            Metric("... put", "ms"),
            Metric("stripped model, get", "ms", must=3),
            Metric("... restored as Parameters", "ms"),
            Metric("... restored directly", "ms"),
            Metric("from_pretrained, local", "ms"),
            Metric("torch.load", "ms"),
        ),
        (Program("models_floor", environment=TORCH),),
        rounds=3,
        ray_rounds=1,
    ),
    Row(
        "model_inference",
        "BERT-base, 14 tokens, one thread",
        Program("model_inference", environment=TORCH, ray_environment=RAY_TORCH),
        (
            Metric("inference here, private weights", "ms"),
            Metric("inference here, shared weights", "ms"),
            Metric("... shared to private", "x", must=1.05),
            Metric("inference by an actor", "ms"),
            Metric("inference by a task", "ms"),
            Metric("... task to actor", "x", must=1.1),
        ),
        rounds=3,
        ray_rounds=1,
    ),
    Row(
        "small_beside_large",
        "8 MB beside 400 MB",
        Program("small_beside_large"),
        (
            Metric("get of 8 MB", "ms"),
            Metric("get of 400 MB", "ms"),
            Metric("put of 8 MB", "ms"),
            Metric("put of 400 MB", "ms"),
        ),
        rounds=3,
        ray_rounds=2,
        peers=("dask", "joblib"),
    ),
)

ROWS = {row.name: row for row in START + TASKS + ACTORS + OBJECTS + MODELS}

# Rows of the design that cannot run in this version.
WAITING = {
    "two_nodes": "cold 1 GiB object between two nodes: this version runs on one machine",
}
