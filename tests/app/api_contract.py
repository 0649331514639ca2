"""Compares the API of a running site, over HTTP, with docs/openapi.yaml.

    python -m tests.app.api_contract --url http://127.0.0.1:8000 --site school.localhost \\
        --student stud@school.example:PASSWORD --manager manager@school.example:PASSWORD \\
        --season SEASON-2019-OPENAPI

For a site for tests only: the season is archived, flagged archived records of all seasons are
deleted, and answers to made-up questions go into the active season.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hypothesis
import hypothesis.errors
import requests
import schemathesis
from schemathesis import CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.config import ChecksConfig, GenerationConfig, SanitizationConfig
from schemathesis.core import NotSet
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

DESCRIPTION: Final = Path(__file__).parents[2] / "docs/openapi.yaml"
METHODS: Final = "/api/method/"
FOR_STUDENTS: Final = "memora.api.reviews."
SECONDS: Final = 30.0
CONFORMANCE: Final = (
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
# How Frappe refuses; a ValidationError is 417.
REFUSALS: Final = ("400", "401", "403", "404", "417")
# These operations accept all input that fits the description. Others also need an existing season,
# job or subject.
ALWAYS_TAKEN: Final = (
    "get_poison_reviews", "get_cache_status", "get_monitor", "get_metrics", "get_active_seasons",
)  # fmt: skip

Case = schemathesis.Case[Any]
Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Headers = Mapping[str, str]
GUEST: Final[Headers] = {}
Check = Callable[[CheckContext, Response, Case], bool | None]


@dataclass(frozen=True)
class Site:
    """A site and its users.

    Args:
        url: of its web server.
        name: for the Host header.
        student: email and password of a user without roles.
        manager: email and password of a System Manager.
        season: one that is not active, to be archived.
    """

    url: str
    name: str
    student: tuple[str, str]
    manager: tuple[str, str]
    season: str


class Contract:
    """Compares the description with a site.

    Args:
        site: the site.
        examples: made-up calls of each kind that an operation gets, besides those at its limits.
    """

    def __init__(self, site: Site, examples: int = 10) -> None:
        self.site: Final = site
        self.examples: Final = examples
        self.failures: Final[dict[frozenset[str], str]] = {}
        self.calls = 0
        schema = schemathesis.openapi.from_path(str(DESCRIPTION))
        schema.config.update(base_url=site.url)
        # These headers say who calls.
        schema.config.generation = GenerationConfig(with_security_parameters=False)
        schema.config.checks = ChecksConfig.from_dict(
            {"negative_data_rejection": {"expected-statuses": REFUSALS}}
        )
        # Its detection of secrets takes session_data for a password.
        schema.config.output.sanitization = SanitizationConfig(sensitive_markers=("password",))
        # Frappe refuses them before it asks memora.
        schema.config.phases.coverage.unexpected_methods = set()
        schema.validate()
        self.schema: Final = schema
        self.operations: Final[list[Operation]] = [
            found.ok()  # type: ignore[union-attr]
            for found in schema.get_all_operations()
        ]

    def check(self) -> list[str]:
        """Call every method as every user. Returns what violated the description, each with a curl
        to repeat it."""
        student, manager = self.log_in(*self.site.student), self.log_in(*self.site.manager)
        story = self.go_through(student, manager)
        for operation in self.operations:
            given = story[name_of(operation)]
            self.call(case_of(operation, given), GUEST, is_forbidden)
            if FOR_STUDENTS in operation.path or name_of(operation) == "undo_last_submission":
                self.try_out(operation, student)
            else:
                self.call(case_of(operation, given), student, is_forbidden)
            self.try_out(operation, manager)
        return list(self.failures.values())

    def log_in(self, email: str, password: str) -> Headers:
        """The headers of a user's requests."""
        answer = requests.post(
            f"{self.site.url}{METHODS}login",
            headers={"Host": self.site.name},
            data={"usr": email, "pwd": password},
            timeout=SECONDS,
        )
        answer.raise_for_status()
        return {"Cookie": f"sid={answer.cookies['sid']}"}

    def go_through(self, student: Headers, manager: Headers) -> dict[str, dict[str, Any]]:
        """Call every method with valid arguments. Returns the arguments of each."""
        told: dict[str, dict[str, Any]] = {}

        def call(name: str, who: Headers, **given: Any) -> Any:
            told[name] = given
            message: Any = {}
            for operation in self.operations:
                if name_of(operation) == name:
                    answer = self.call(case_of(operation, given), who, is_answered)
                    if answer is not None and name != "get_metrics":
                        message = answer.json().get("message", {})
            return message

        answers = [
            {"question_id": f"contract-{number}", "is_correct": False} for number in range(3)
        ]
        call(
            "submit_review_session",
            student,
            responses=[{"question_id": "contract:1", "quality": 4}],
        )
        job_id = call(
            "submit_review_session", student, session_data={"answers": answers, "total_combo": 2}
        )
        call("get_persistence_status", student, job_id=job_id.get("persistence_job_id", "none"))
        call("submit_review_session", student, session_data={"answers": answers}, submission_id="c")
        call("undo_last_submission", student, submission_id="c")
        active = call("get_review_session", student, limit=5).get("season") or "none"
        call("get_forecast", student, days=7)
        call("get_season_forecast", manager, season=active, days=7)
        for name in ("suspend_question", "resume_question"):
            call(name, student, question_id="contract-0")
        call("get_suspended_questions", student)
        for name in ("retire_questions", "restore_questions"):
            call(name, manager, ids=["contract-0", 17])
        call("get_retired_questions", manager, limit=5, start=0)
        call("get_poison_reviews", manager, limit=5, start=0)
        call("replay_poison_reviews", manager, names=[])
        call("dismiss_poison_reviews", manager, names=["of-no-record"], reason="A test.")
        call("get_archive_status", manager, season=self.site.season)
        call("get_season_summary", manager, season=self.site.season)
        call("get_season_summary", manager, season=active)
        call("archive_season", manager, season=self.site.season, confirm=True)
        call("get_archive_status", manager, season=self.site.season)
        call("delete_eligible_archived_records", manager, season=self.site.season, confirm=True)
        # A user without a record, so nothing is erased.
        email, _password = self.site.manager
        call("export_student", manager, player=email)
        call("forget_student", manager, player=email, confirm=email)
        call("trigger_reconciliation", manager, sample_size=0, season=active)
        call("trigger_reconciliation", manager, sample_size=100, season=active)
        call("request_reconciliation", manager, sample_size=100, season=active)
        call("get_scheduler_report", manager, season=active)
        training = call("request_training", manager, season=active).get("job", "none")
        call("cancel_job", manager, job=training)
        job = call("rebuild_season_cache", manager, season=active).get("job", "none")
        call("get_job", manager, job=job)
        call("cancel_job", manager, job=job)
        for name in ("get_cache_status", "get_monitor", "get_metrics", "get_active_seasons"):
            call(name, manager)
        return told

    def try_out(self, operation: Operation, who: Headers) -> None:
        """Call an operation with everything at the limits of its description, and with random
        input."""
        for mode in (GenerationMode("positive"), GenerationMode("negative")):
            extra = self.checks_of(operation, mode)
            for case in self.schema.iter_coverage_cases(
                operation, generation_modes=[mode], generation_config=self.schema.config.generation
            ):
                if reaches_memora(case):
                    self.call(case, who, *extra)
            self.make_up(operation, mode, who, *extra)

    def make_up(
        self, operation: Operation, mode: GenerationMode, who: Headers, *extra: Check
    ) -> None:
        """Call an operation with made-up arguments, the same each time; a failure in its smallest
        form."""

        @hypothesis.settings(
            max_examples=self.examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def try_one(case: Case) -> None:
            hypothesis.assume(reaches_memora(case))
            self.send(case, who, *extra)

        # An operation without arguments has no wrong ones.
        with self.noting(), suppress(hypothesis.errors.Unsatisfiable):
            try_one()

    def checks_of(self, operation: Operation, mode: GenerationMode) -> list[Check]:
        """Checks for arguments that fit the description, or do not."""
        if mode == GenerationMode.NEGATIVE:
            return [checks.negative_data_rejection]
        return [is_answered] if name_of(operation) in ALWAYS_TAKEN else []

    def call(self, case: Case, who: Headers, *extra: Check) -> Response | None:
        """Call, check, and note failures; returns None then."""
        with self.noting():
            return self.send(case, who, *extra)
        return None

    def send(self, case: Case, who: Headers, *extra: Check) -> Response:
        """Call and check.

        Raises:
            FailureGroup: what is wrong.
        """
        self.calls += 1
        headers = {"Host": self.site.name, **who}
        return case.call_and_validate(
            headers=headers, checks=[not_a_server_error, *CONFORMANCE, *extra], timeout=SECONDS
        )

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a failure, each only once, and continue."""
        try:
            yield
        except FailureGroup as found:
            faults = frozenset(
                f"{fault.operation} {fault.title} {fault.message}" for fault in found.exceptions
            )
            self.failures.setdefault(faults, found.message)
        except hypothesis.errors.Flaky as found_once:
            self.failures.setdefault(frozenset([str(found_once)]), f"Not each time: {found_once}")


def name_of(operation: Operation) -> str:
    """The name of the function."""
    return operation.path.rpartition(".")[2]


def case_of(operation: Operation, given: Mapping[str, Any]) -> Case:
    """A call with these arguments: in the query or the body."""
    if not given:
        return operation.Case()
    if operation.method == "get":
        return operation.Case(query=dict(given))
    return operation.Case(body=dict(given), media_type="application/json")


def reaches_memora(case: Case) -> bool:
    """Frappe reads the body: invalid JSON is its own error 500, and no method takes a list."""
    return isinstance(case.body, dict | NotSet)


def is_forbidden(_context: CheckContext, response: Response, _case: Case) -> None:
    """Users who may not call it get 403."""
    assert response.status_code == 403, f"403 expected, not {response.status_code}"


def is_answered(_context: CheckContext, response: Response, _case: Case) -> None:
    """Valid input gets an answer."""
    assert response.status_code == 200, f"200 expected, not {response.status_code}"


def main() -> None:
    """Check a site as the command line says; exit code 1 when it does not keep to the
    description."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="of the web server")
    parser.add_argument("--site", required=True, help="for the Host header")
    parser.add_argument(
        "--student", required=True, metavar="EMAIL:PASSWORD", help="a user without roles"
    )
    parser.add_argument(
        "--manager", required=True, metavar="EMAIL:PASSWORD", help="a System Manager"
    )
    parser.add_argument("--season", required=True, help="one that is not active: it is archived")
    parser.add_argument(
        "--examples", type=int, default=10, help="made-up calls of each kind and operation"
    )
    given = parser.parse_args()
    student, manager = (tuple(who.split(":", 1)) for who in (given.student, given.manager))
    contract = Contract(Site(given.url, given.site, student, manager, given.season), given.examples)
    failures = contract.check()
    print(*failures, sep="\n")
    print(
        f"{contract.calls} calls of {len(contract.operations)} operations, {len(failures)} failures"
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
