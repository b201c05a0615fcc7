"""The command line, thin: options and help here, the work in `commands/`. stdout is data, stderr is talk."""
# ruff: noqa: PLC0415  # each command imports what it needs, so that the others start fast

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

import mmsent
from mmsent.commands.console import configure_logging, give, say
from mmsent.errors import MmsentError
from mmsent.training import Stage

if TYPE_CHECKING:
    from mmsent.settings import Settings

EPILOG = (
    "Exit codes: 0 done · 1 failed · 2 wrong option or setting · 3 a file, folder or value cannot be used · "
    "4 something is missing or does not answer · 130 interrupted. "
    "Each setting is an environment variable MMSENT_…; `mmsent settings` lists them."
)


def _group(help_text: str) -> typer.Typer:
    return typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        add_completion=False,
    )


app = typer.Typer(
    help="What a live stream of posts feels, from text and picture together, and where the two disagree.",
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
ingest = _group("Put posts on Kafka.")
kafka = _group("Kafka's topics.")
topics = _group("Tracked topics: named queries that posts are matched against.")
db = _group("The database.")
app.add_typer(ingest, name="ingest")
app.add_typer(kafka, name="kafka")
app.add_typer(topics, name="topics")
dead = _group("Dead letters: records that could not be processed.")
app.add_typer(db, name="db")
app.add_typer(dead, name="dead")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the one-machine stack. [env: MMSENT_DATA_DIR]")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Rate = Annotated[float, typer.Option(min=0, help="Posts a second; 0 = as fast as it goes.")]
Seed = Annotated[int, typer.Option(help="The sample: another number, another stream.")]
Past = Annotated[
    float, typer.Option(min=0, metavar="MINUTES", help="The sample: minutes of made-up past that go first.")
]
Source = Annotated[
    str | None,
    typer.Option(help="Goes before the ids of short posts: SOURCE/ID. By default the file's name."),
]
Seconds = Annotated[float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")]
Checkpoint = Annotated[
    Path | None, typer.Option(help="Model checkpoint folder. [env: MMSENT_CHECKPOINT; default: shipped]")
]

Data = Annotated[Path, typer.Option(help="Folder with the data sets.")]


def _say_version(wanted: bool) -> None:
    if wanted:
        give(f"mmsent {mmsent.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version.")
    ] = False,
) -> None: ...


@app.command()
def demo(
    *,
    posts: Annotated[
        Path | None, typer.Option(help="JSON Lines file of posts, '-' = stdin. Without it: the sample.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Posts a second; 0 = as fast as it goes. [default: 2 on average; with --posts 10]",
        ),
    ] = None,
    seed: Seed = 0,
    past: Past = 16.0,
    seconds: Seconds = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The dashboard's port, 0 = any free one. [default: 8501]"),
    ] = None,
    data_dir: DataDir = None,
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard.")] = False,
    browser: Annotated[
        bool, typer.Option(help="Open the dashboard in a browser, if there is a display.")
    ] = True,
    source: Source = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Run everything on this machine: broker, database, worker and dashboard, over a stream of posts.

    The sample is made up: brands, towns, people, drawn pictures. A quarter of an hour of past goes first,
    then days of twelve minutes pass, and about a minute after the start one brand is in for a storm.

    Needs no Kafka, no Redis and no root; pip install 'mmsent[demo]'. Ctrl-C ends it and leaves nothing
    running. With a file and --rate 0 it ends by itself when all posts are through, and so it does with
    --headless; then it prints a summary.

    \b
    Examples:
      mmsent demo
      mmsent demo --rate 20 --past 5 --seed 7
      mmsent demo --posts posts.jsonl --rate 0 --headless
      mmsent demo --posts posts.jsonl --rate 50 --for 60 --port 9000
    """
    from mmsent.commands.demo import run

    settings = _settings(data_dir=data_dir, dashboard_port=port)
    run(
        settings,
        posts=posts,
        source=source,
        rate=rate,
        seed=seed,
        past_s=past * 60,
        duration_s=seconds,
        headless=headless,
        browser=browser,
        as_json=as_json,
    )


@ingest.command("sample")
def ingest_sample(
    *,
    rate: Annotated[
        float, typer.Option(min=0, help="Posts a second on average; 0 = as fast as it goes.")
    ] = 2.0,
    seed: Seed = 0,
    past: Past = 16.0,
    seconds: Seconds = None,
    pictures_host: Annotated[
        str | None,
        typer.Option(help="Name or address under which workers reach this machine. [default: 127.0.0.1]"),
    ] = None,
    pictures_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the pictures, 0 = any free one. [default: 8082]"),
    ] = None,
) -> None:
    """Put made-up posts on Kafka, without end, and serve their drawn pictures meanwhile.

    Tracks the sample's topics, if the database can be reached. Workers fetch the pictures only where
    MMSENT_FETCH_ALLOW_PRIVATE names this machine's address and the pictures' port. Ctrl-C ends it.

    \b
    Examples:
      mmsent ingest sample
      mmsent ingest sample --rate 50 --past 0 --for 60
      mmsent ingest sample --pictures-host 10.0.0.7 --pictures-port 9000
    """
    from mmsent.commands.ingest import sample

    settings = _settings(pictures_host=pictures_host, pictures_port=pictures_port)
    sample(settings, rate=rate, seed=seed, past_s=past * 60, duration_s=seconds)


@ingest.command("replay")
def ingest_replay(
    file: Annotated[Path, typer.Argument(help="JSON Lines file of posts, '-' = stdin.")],
    source: Source = None,
    rate: Rate = 0.0,
    pictures_at: Annotated[
        str | None,
        typer.Option(help="Address under which workers reach the file's folder, if it names local pictures."),
    ] = None,
) -> None:
    """Put the posts of a file on Kafka.

    \b
    Examples:
      mmsent ingest replay posts.jsonl --rate 100
      mmsent ingest replay posts.jsonl --source shop --pictures-at https://example.org/pictures/
      zcat posts.jsonl.gz | mmsent ingest replay - --source archive
    """
    from mmsent.commands.ingest import replay

    replay(_settings(), file, source=source, rate=rate, pictures_at=pictures_at)


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Score the posts on Kafka, write rows, find alerts. SIGTERM or Ctrl-C ends it in good order.

    \b
    Examples:
      mmsent worker
      MMSENT_KAFKA_BOOTSTRAP_SERVERS=kafka:9092 MMSENT_DATABASE_URL=postgresql://… mmsent worker
    """
    from mmsent.commands.programs import run_worker

    run_worker(_settings(data_dir=data_dir))


@app.command()
def dashboard(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 = any free one. [default: 8501]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the dashboard; pip install 'mmsent[dashboard]'.

    \b
    Examples:
      mmsent dashboard
      mmsent dashboard --port 9000 --host 0.0.0.0
    """
    from mmsent.commands.programs import run_dashboard

    run_dashboard(_settings(data_dir=data_dir, dashboard_port=port, dashboard_host=host))


@app.command()
def alerts(
    as_json: Json = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="First those that are on the topic already.")
    ] = False,
    seconds: Seconds = None,
    data_dir: DataDir = None,
) -> None:
    """Follow the alerts: what happened, how it grows, which posts, where to look. Finds a running demo.

    In a pipe each revision is one line; with --json it is the alert as it stands on Kafka.

    \b
    Examples:
      mmsent alerts
      mmsent alerts --json --from-start --for 10 | jq .title
    """
    from mmsent.commands.alerts import follow

    follow(_settings(data_dir=data_dir), as_json=as_json, from_start=from_start, duration_s=seconds)


@app.command()
def score(
    *,
    file: Annotated[Path, typer.Argument(help="JSON Lines file of posts, '-' = stdin.")],
    source: Source = None,
    checkpoint: Checkpoint = None,
    engine: Annotated[
        Literal["auto", "openvino", "torch", "stub"] | None, typer.Option(help="What runs the model.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="What each opinion rests on; scores a post about fifty times.")
    ] = False,
    heat_maps: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Explain, and draw over each picture what its opinion rests on, as a PNG."
        ),
    ] = None,
) -> None:
    """Score the posts of a file, without any server: JSON lines in a pipe, a table on a terminal.

    ≠ marks posts whose words and picture disagree.

    \b
    Examples:
      mmsent score posts.jsonl
      mmsent score posts.jsonl > scores.jsonl
      mmsent score posts.jsonl --explain --heat-maps pictures
      echo '{"id": 1, "text": "Lovely weather"}' | mmsent score -
    """
    from mmsent.commands.score import run

    settings = _settings(checkpoint=checkpoint, engine=engine)
    run(settings, file, source, explained=explain or heat_maps is not None, heat_maps=heat_maps)


@app.command()
def train(
    *,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for weights and figures.")] = Path("runs/model"),
    stage: Annotated[
        Stage | None,
        typer.Option(
            help="One stage alone, after those before it in the same folder: picture makes the picture "
            "encoder, folds judges posts by models that did not learn from them. [default: all but picture]"
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Recipe in TOML, see docs/training.md.")] = None,
    image_weights: Annotated[
        Path | None,
        typer.Option(
            help="ResNet of torchvision's (without fc; safetensors) to read pictures with, or to distil "
            "further. [default: the picture stage's, or torchvision's own weights]"
        ),
    ] = None,
    photos: Annotated[
        list[Path] | None, typer.Option(help="Folder of photos to distil from; may be given again.")
    ] = None,
    tiny_imagenet: Annotated[
        Path | None, typer.Option(help="Folder of Tiny ImageNet, to pre-train the picture encoder.")
    ] = None,
    drawings: Annotated[
        int | None, typer.Option(min=0, help="Drawings for the picture head, beside the photos.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data, in each stage.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed trains the same model. [default: 0]")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on where a run that was ended stood.")] = True,
) -> None:
    """Train the model; pip install 'mmsent[train]'.

    \b
    Examples:
      mmsent train --data data --image-weights resnet18.safetensors
      mmsent train --data data --stage text --epochs 2 --output runs/try
    """
    from mmsent.commands.model import train

    train(
        stage,
        data,
        output,
        config=config,
        overrides={"drawings": drawings, "epochs": epochs, "seed": seed},
        image_weights=image_weights,
        photos=photos or [],
        tiny_imagenet=tiny_imagenet,
        resume=resume,
    )


@app.command()
def export(
    trained: Annotated[Path, typer.Argument(help="Folder that `mmsent train` wrote.")],
    *,
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for the checkpoint.")],
    name: Annotated[str, typer.Option(help="The checkpoint's name.")] = "default",
    version: Annotated[int, typer.Option(min=1, help="The checkpoint's version.")] = 1,
    appendix: Annotated[
        Path | None, typer.Option(help="A document in Markdown for the model card: what was tried.")
    ] = None,
) -> None:
    """Make a checkpoint of three ONNX parts from trained weights; pip install 'mmsent[train]'.

    \b
    Examples:
      mmsent export runs/model --data data --output checkpoint
      MMSENT_CHECKPOINT=checkpoint mmsent score posts.jsonl
    """
    from mmsent.commands.model import export

    export(trained, data, output, name=name, version=version, appendix=appendix)


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint folder, or 'default' for the shipped one.")],
    data: Annotated[Path, typer.Argument(help="Folder with the data sets.")],
    *,
    split: Annotated[str, typer.Option(help="Which posts of the data sets.")] = "dev",
    prior: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=0.999,
            help="Share of posts with opposite text and picture that flags are judged for. [default: 0.0735]",
        ),
    ] = None,
    text_only_for_missing: Annotated[
        bool,
        typer.Option("--text-only-for-missing", help="Judge posts without their picture by their text."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for all tables and pictures (report.md, PNG, figures.json).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Judge a checkpoint on labelled posts; pip install 'mmsent[train]'.

    \b
    Examples:
      mmsent evaluate default data
      mmsent evaluate checkpoint data --report report
      mmsent evaluate checkpoint data --split test --prior 0.05 --json
    """
    from mmsent.commands.model import evaluate

    evaluate(
        None if checkpoint == "default" else Path(checkpoint),
        data,
        split=split,
        prior=prior,
        text_only_for_missing=text_only_for_missing,
        report=report,
        as_json=as_json,
    )


@kafka.command("create")
def kafka_create(
    replication_factor: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
) -> None:
    """Create Kafka's topics that are missing.

    \b
    Examples:
      mmsent kafka create
      mmsent kafka create --replication-factor 3
    """
    from mmsent.commands.database import create_kafka_topics

    create_kafka_topics(_settings(), replication_factor)


@dead.command("list")
def dead_list(
    as_json: Json = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many, the newest. [default: 50; with --json all]")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Show the dead letters, each once, the newest first. Finds a running demo by itself.

    A record that was put back and could not be processed again takes the place of its first letter. The
    others stay on the list as long as Kafka keeps them, whatever became of them.

    \b
    Examples:
      mmsent dead list
      mmsent dead list --json | jq -r 'select(.stage == "validate") | .message'
    """
    from mmsent.commands.dead import show_letters

    show_letters(_settings(data_dir=data_dir), as_json=as_json, limit=limit)


Letter = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Where the record stood.")]


@dead.command("show")
def dead_show(
    letter: Letter,
    raw: Annotated[bool, typer.Option("--raw", help="Only the value, byte for byte.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show one dead letter: why it is dead, and what it holds.

    \b
    Examples:
      mmsent dead show 3:17
      mmsent dead show 3:17 --raw > post.json
    """
    from mmsent.commands.dead import show_letter

    show_letter(_settings(data_dir=data_dir), letter, raw=raw)


@dead.command("replay")
def dead_replay(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="Where the records stood.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are on the list.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Put dead letters back on Kafka's posts, as they came. Doing it twice does no harm.

    Worth it once the cause is gone: a bug, a bad model, a database that refused. A record that cannot be
    processed again becomes a dead letter again.

    \b
    Examples:
      mmsent dead replay 3:17 4:9
      mmsent dead replay --all --dry-run
    """
    from mmsent.commands.dead import replay

    replay(_settings(data_dir=data_dir), letters or [], everything=everything, dry_run=dry_run)


@topics.command("list")
def topics_list(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show the tracked topics.

    \b
    Examples:
      mmsent topics list
      mmsent topics list --json
    """
    from mmsent.commands.database import show_topics

    show_topics(_settings(data_dir=data_dir), as_json=as_json)


@topics.command("add")
def topics_add(
    name: str,
    any_of: Annotated[list[str] | None, typer.Option("--any", help="One of these; may be repeated.")] = None,
    all_of: Annotated[list[str] | None, typer.Option("--all", help="All of these.")] = None,
    none_of: Annotated[list[str] | None, typer.Option("--none", help="None of these.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Track a topic: words, "exact phrases", #hashtags.

    \b
    Examples:
      mmsent topics add weather --any rain --any sun --any '#weather'
      mmsent topics add trains --any train --any '"night bus"' --none toy
    """
    from mmsent.commands.database import add_topic

    add_topic(_settings(data_dir=data_dir), name, any_of or [], all_of or [], none_of or [])


@topics.command("remove")
def topics_remove(name: str, data_dir: DataDir = None) -> None:
    """Stop tracking a topic.

    \b
    Examples:
      mmsent topics remove weather
    """
    from mmsent.commands.database import remove_topic

    remove_topic(_settings(data_dir=data_dir), name)


@db.command("upgrade")
def db_upgrade(data_dir: DataDir = None) -> None:
    """Make the database's tables, or bring them to this version.

    \b
    Examples:
      mmsent db upgrade
      MMSENT_DATABASE_URL=postgresql://user@host/mmsent mmsent db upgrade
    """
    from mmsent.commands.database import upgrade

    upgrade(_settings(data_dir=data_dir))


@db.command("prune")
def db_prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="E.g. 12h, 30d, 8w; at least 1h.")
    ],
    rollups: Annotated[
        bool, typer.Option("--rollups", help="The minute counts too, which charts are drawn from.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Delete posts that were created so long ago, while workers run.

    The counts of their minutes stay, and so do alerts. From then on posts from before that time are not taken
    any more, lest one that comes again counts twice; a worker counts them as stale.

    \b
    Examples:
      mmsent db prune --older-than 30d --dry-run
      mmsent db prune --older-than 30d
    """
    from mmsent.commands.database import prune

    prune(_settings(data_dir=data_dir), older_than, with_rollups=rollups, dry_run=dry_run)


@app.command()
def schema(name: Annotated[Literal["post", "scored", "explained", "alert"], typer.Argument()]) -> None:
    """Print the JSON Schema of what stands on Kafka, and of what `score --explain` gives.

    \b
    Examples:
      mmsent schema post
      mmsent schema alert > alert.schema.json
    """
    import json

    from mmsent.posts import json_schema

    give(json.dumps(json_schema(name), indent=2))


@app.command()
def settings() -> None:
    """Print every setting with its default, as a Markdown table.

    \b
    Examples:
      mmsent settings
    """
    from mmsent.settings import settings_table

    give(settings_table())


@app.command()
def doctor(as_json: Json = False, data_dir: DataDir = None) -> None:
    """Check everything that mmsent needs, and say what to do about what is missing.

    ✔ is there · ✘ is needed · – may be left out. The exit code is 0 if nothing that is needed is missing.

    \b
    Examples:
      mmsent doctor
      mmsent doctor --json
    """
    from mmsent.doctor import run

    _exit(run(_settings(data_dir=data_dir), as_json=as_json))


def _settings(**options: object) -> "Settings":
    from mmsent.settings import Settings

    loaded = Settings.load(**options)
    configure_logging(loaded)
    return loaded


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def main() -> NoReturn:
    """Run a command; every error on purpose is one line on stderr and an exit code."""
    try:
        code = app(standalone_mode=False)
    except MmsentError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        _fail(_usage(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    sys.exit(code)


def _usage(error: typer.TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None or "\n" in message:
        return message
    return f"{message.rstrip('.')}; see: {context.command_path} --help"


def _fail(message: str, code: int) -> NoReturn:
    say(message if "\n" in message else f"mmsent: {message}")
    sys.exit(code)
