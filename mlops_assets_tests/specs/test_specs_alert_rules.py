"""Who is told stands in the policy, the address never does; what is wrong has its line."""

from pathlib import Path

import pytest

from mlops_assets.specs.policy_file import load_policy, policy_problems, policy_warnings

ROUTE = "{owner: 'team:x', severity: warning, url_env: X_MAIL}"


def write(folder: Path, alerts: str) -> Path:
    (folder / "policy.yaml").write_text(f"all: {{}}\nalerts:\n{alerts}")
    return folder


def test_what_a_project_leaves_out_is_as_the_platform_has_it(tmp_path: Path) -> None:
    platform = load_policy().alerts
    own = load_policy(write(tmp_path, f"  routes: [{ROUTE}]\n  cooldown: 2h\n")).alerts
    assert own.cooldown.total_seconds() == 7200
    assert own.resolve_after == platform.resolve_after
    assert platform.routes == ()
    (route,) = own.routes
    assert route.takes("team:x", "warning")
    assert route.takes("team:x", "page")
    assert not route.takes("team:x", "information")
    assert not route.takes("team:y", "page")


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        (
            "  routes:\n  - {owner: 'team:x', url: 'mailto://u:hush@h'}\n",
            "policy.yaml:4: alerts.routes.0.url: is a URL",
        ),
        (
            "  routes:\n  - owner: 'team:x'\n    url_env: slack://hush/token\n",
            "policy.yaml:5: alerts.routes.0.url_env: is a URL, and URLs of notifiers hold secrets",
        ),
        ("  escalate_to_env: pagerduty://hush\n", "policy.yaml:3: alerts.escalate_to_env: is a URL"),
        (
            "  routes:\n  - {owner: 'team:x', url_env: a-b}\n",
            "policy.yaml:4: alerts.routes.0.url_env: must be the name",
        ),
        (
            "  routes:\n  - {owner: nobody, url_env: A}\n",
            "policy.yaml:4: alerts.routes.0.owner: 'nobody' is no owner",
        ),
        (
            "  routes:\n  - {owner: '*', severity: pages, url_env: A}\n",
            "policy.yaml:4: alerts.routes.0.severity: 'pages' is not one of",
        ),
        ("  cooldwn: 1h\n", "policy.yaml:3: unknown key 'alerts.cooldwn' (did you mean 'cooldown'?)"),
        ("  resolve_after: 0\n", "policy.yaml:3: alerts.resolve_after: "),
        (
            "  runbooks: https://u:hush@example.org\n",
            "policy.yaml:3: alerts.runbooks: must be a web address without",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_no_secret_with_it(
    tmp_path: Path, alerts: str, said: str
) -> None:
    (found,) = [str(problem) for problem in policy_problems(write(tmp_path, alerts))]
    assert said in found
    assert "hush" not in found


def test_a_variable_that_is_not_set_here_is_a_warning_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("Y_MAIL", "mailto://somebody")
    monkeypatch.delenv("X_MAIL", raising=False)
    write(tmp_path, f"  routes:\n  - {ROUTE}\n  - {{owner: '*', url_env: Y_MAIL}}\n  escalate_to_env: BOSS\n")
    found = [str(warning).replace(str(tmp_path), "") for warning in policy_warnings(tmp_path)]
    assert [text.rpartition("/")[2] for text in found] == [
        "policy.yaml:4: the environment variable X_MAIL is not set here",
        "policy.yaml:6: the environment variable BOSS is not set here",
    ]
    assert policy_problems(tmp_path) == []
