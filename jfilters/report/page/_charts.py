"""The charts as Vega-Lite, made by Altair: data, sizes and colors of the theme come in on the page.

A chart names its columns once, here; the page fills the data set `rows` and the parameters.
"""

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

VERDICT_COLORS = {
    "healthy": "#8fa3ad",
    "too-few-kernels": "#c2b9a5",
    "low-diversity": "#56b4e9",
    "sparse": "#e69f00",
    "random-like": "#d55e00",
    "collapsed": "#cc79a7",
    "all-zero": "#7b3294",
    "non-finite": "#009e73",
}
"""After Okabe and Ito, told apart with every kind of color vision; shapes say the same."""

_SHAPES = (
    "circle",
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "wedge",
    "triangle-down",
)
_PAIR = ("#2b7bba", "#e6701e")  # blue and orange
_ROWS = "rows"
_LEAST = [0, 0.01]  # what an axis spans at least, so that zeros lie on its foot


@functools.cache
def charts() -> dict[str, dict[str, Any]]:
    """Every chart by its name. Needs altair."""
    made = {
        "matrix": _matrix(),
        "ridges": _ridges(),
        "overlay": _overlay(),
        "depth": _depth(),
        "planes": _planes(),
        "steps": _steps(),
    }
    return {name: _spec(chart) for name, chart in made.items()}


def _spec(chart: "alt.TopLevelMixin") -> dict[str, Any]:
    spec = chart.to_dict()
    spec.pop("config", None)  # the page has its own, in two themes
    spec.pop("$schema", None)
    return spec


def _matrix() -> "alt.TopLevelMixin":
    """Every pair of groups as a cell; marks stand for pairs of which the value says little."""
    import altair as alt

    names = alt.param("names", value=[])
    x = alt.X("second:O").axis(title=None, orient="top", labelExpr="datum.value + 1", labelAngle=0)
    y = alt.Y("first:O").axis(title=None, labelExpr="names[datum.value]")
    base = alt.Chart(alt.NamedData(_ROWS))
    shade = (
        alt.Color("value:Q")
        .scale(scheme="viridis", type="sqrt")
        .legend(orient="bottom", title="D, nats", gradientLength=200, format="~r")
    )
    tooltip = [
        alt.Tooltip("from:N"),
        alt.Tooltip("to:N"),
        *(alt.Tooltip(f"{name}:N") for name in ("D", "null 95 %", "p", "verdict")),
    ]
    cells = base.mark_rect(cursor="pointer", description="cells").encode(
        x=x,
        y=y,
        color=alt.condition("datum.tells", shade, alt.value(alt.expr("muted"))),
        tooltip=tooltip,
    )
    marks = base.mark_text(fontSize=11, aria=False).encode(
        x=x,
        y=y,
        text=alt.Text("mark:N"),
        color=alt.when("!datum.tells")
        .then(alt.value(alt.expr("ink")))
        .when("datum.light")
        .then(alt.value("#1a1a1a"))
        .otherwise(alt.value("#ffffff")),
    )
    return alt.layer(cells, marks).add_params(
        names, alt.param("muted", value="gray"), alt.param("ink", value="black")
    )


def _ridges() -> "alt.FacetChart":
    """Densities of coefficients, one above the other: a row a group, a column a component."""
    import altair as alt

    names = alt.param("names", value=[])
    chart = alt.Chart(alt.NamedData(_ROWS))
    area = chart.mark_area(line={"strokeWidth": 1.2}, fillOpacity=0.55, interpolate="monotone")
    return (
        area.encode(
            x=alt.X("coefficient:Q").axis(title="coefficient", grid=False, tickCount=5),
            y=alt.Y("top:Q").axis(
                title=None, grid=False, ticks=False, domain=False, labelExpr="names[datum.value]"
            ),
            y2="base:Q",
            detail="group:O",
            tooltip=[alt.Tooltip("name:N", title="group")],
        )
        .facet(
            column=alt.Column("component:O").header(
                title=None, labelExpr="'component ' + datum.value"
            )
        )
        .add_params(names)
    )


def _overlay() -> "alt.FacetChart":
    """The densities of two groups over each other, a panel a component."""
    import altair as alt

    colors = alt.param("pair", value=[])
    chart = alt.Chart(alt.NamedData(_ROWS))
    area = chart.mark_area(line={"strokeWidth": 1.6}, fillOpacity=0.25, interpolate="monotone")
    return (
        area.encode(
            x=alt.X("coefficient:Q").axis(title="coefficient", grid=False, tickCount=5),
            y=alt.Y("density:Q").stack(None).axis(title=None, grid=False, tickCount=3),
            color=alt.Color("side:N")
            .scale(domain=["first", "second"], range=list(_PAIR))
            .legend(
                orient="top",
                title=None,
                labelExpr="datum.value == 'first' ? pair[0] : pair[1]",
                labelLimit=420,
                direction="vertical",
            ),
        )
        .facet(
            facet=alt.Facet("component:O").header(title=None, labelExpr="titles[datum.value]"),
            columns=3,
        )
        .resolve_scale(y="independent")
        .add_params(colors, alt.param("titles", value=[]))
    )


def _depth() -> "alt.FacetChart":
    """A number of every layer against its depth, a panel a number; colors and shapes are verdicts."""
    import altair as alt

    base, from_zero = alt.Chart(alt.NamedData(_ROWS)), alt.DomainUnionWith(unionWith=_LEAST)
    words, colors = list(VERDICT_COLORS), list(VERDICT_COLORS.values())
    points = base.mark_point(filled=True, size=46, opacity=0.85, cursor="pointer").encode(
        x=alt.X("relative_depth:Q").scale(domain=[0, 1]).axis(title="relative depth", tickCount=5),
        y=alt.Y("value:Q").scale(domain=from_zero).axis(title=None, tickCount=5),
        color=alt.Color("verdict:N")
        .scale(domain=words, range=colors)
        .legend(orient="bottom", title=None, columns=4),
        shape=alt.Shape("verdict:N").scale(domain=words, range=list(_SHAPES)),
        tooltip=[
            *(alt.Tooltip(f"{name}:N") for name in ("model", "layer")),
            alt.Tooltip("shown:N", title="value"),
            alt.Tooltip("verdict:N"),
        ],
    )
    limit = base.mark_rule(strokeDash=[4, 4], opacity=0.8).encode(y="mean(limit):Q")
    return (
        alt.layer(limit, points)
        .facet(
            facet=alt.Facet("measure:N")
            .sort(["H/T", "S", "O"])
            .header(title=None, labelExpr="titles[datum.value]"),
            columns=3,
        )
        .resolve_scale(y="independent")
        .add_params(alt.param("titles", value={}))
    )


def _planes() -> "alt.FacetChart":
    """Where the kernels of a group lie in the plane of the first two coefficients."""
    import altair as alt

    squares = (
        alt.Chart(alt.NamedData(_ROWS))
        .mark_rect()
        .encode(
            x=alt.X("x:Q").axis(title=None, grid=False, values=[-2, 0, 2]),
            x2="x2:Q",
            y=alt.Y("y:Q").axis(title=None, grid=False, values=[-2, 0, 2]),
            y2="y2:Q",
            color=alt.Color("share:Q")
            .scale(scheme="viridis", type="sqrt", domain=[0, 1])
            .legend(orient="bottom", title="share of the fullest square", gradientLength=200),
        )
    )
    return squares.facet(
        facet=alt.Facet("group:O").header(title=None, labelExpr="titles[datum.value]"), columns=4
    ).add_params(alt.param("titles", value=[]))


def _steps() -> "alt.FacetChart":
    """The numbers of a run over its steps, a panel a number."""
    import altair as alt

    base, from_zero = alt.Chart(alt.NamedData(_ROWS)), alt.DomainUnionWith(unionWith=_LEAST)
    x = alt.X("step:Q").axis(title="step", tickCount=5, format="~s")
    y = alt.Y("value:Q").axis(title=None, tickCount=5)
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y.scale(domain=from_zero))
    points = base.mark_circle(size=50, opacity=1).encode(
        x=x,
        y="value:Q",
        tooltip=[
            *(alt.Tooltip(f"{name}:N") for name in ("model", "step")),
            alt.Tooltip("shown:N", title="value"),
        ],
    )
    reference = base.mark_line(strokeDash=[4, 4], strokeWidth=1, opacity=0.8).encode(
        x="step:Q", y="reference:Q"
    )
    return (
        alt.layer(reference, line, points)
        .facet(
            facet=alt.Facet("measure:N")
            .sort(["previous", "first", "last", "H/T", "S", "O"])
            .header(title=None, labelExpr="titles[datum.value]"),
            columns=3,
        )
        .resolve_scale(y="independent")
        .add_params(alt.param("titles", value={}))
    )
