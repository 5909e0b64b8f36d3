"""What the inner loop leaves out."""

from __future__ import annotations

from pathlib import Path

# Files of tests that run whole programs, fit observers, open a browser or sum over all states of whole bases:
# the inner loop goes without them.
WHOLE = {
    "engine/analysis": "test_sensitivity test_counterfactuals test_expectations test_knowledge_draws",
    "engine/compilation": "test_compiler",
    "engine/decision": "test_voi_approximate test_voi_exact",
    "engine/inference": "test_oracles test_posterior",
    "engine/learning": "test_observer_fit test_reading_types",
    "engine/observation": "test_family test_numbers",
    "seke/benchmarking": "test_score test_score_card test_blind_scores",
    "seke/calibration": "test_calibrate test_gold_plan test_mean_thresholds test_limits_in_use",
    "seke/cli": "test_cli test_observe",
    "seke/datasets": "test_import test_images",
    "seke/explanations": "test_explanation test_figures",
    "seke/exporting": "test_consumers test_export test_splits",
    "seke/files": "test_bounds",
    "seke/inference": "test_coverage test_knowledge_uncertainty",
    "seke/knowledge_tools": "test_copies test_workbench test_workbench_files test_table_verdicts "
    "test_expectation_report",
    "seke/planning": "test_plan",
    "seke/playground": "test_play",
    "seke/reports": "test_report test_report_page",
    "seke/review": "test_review test_review_page test_label_studio test_learned",
    "seke/sampling": "test_replay",
    ".": "test_walk",
    "seke/vision": "test_several_models test_annotate test_bodies test_measured_prices test_prices "
    "test_batches test_client test_people_asked test_bench_run test_observed_runs",
}
WHOLE_FILES = {
    (Path(room) / f"{name}.py").as_posix() for room, names in WHOLE.items() for name in names.split()
}
