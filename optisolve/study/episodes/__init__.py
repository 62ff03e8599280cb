"""Episodes: instances that move, solved step by step by a solver with a memory, and the scores of the whole.

| part | what it is |
|---|---|
| `memory` | what a solver is handed of earlier steps: nothing, points to start from, notes in words |
| `course` | the steps with their references, and arms that solve them one after the other |
| `scores` | summed loss, worst step, evaluations until an event is made good |
| `chains` | episodes of a suite: what the records of earlier steps hand on |
| `summary` | what is written beside the records of the steps, and what must hold of them |
"""

from optisolve.study.episodes.chains import check_chains
from optisolve.study.episodes.course import Arm, Course, EpisodeRun, arms_of, episode, run_arm
from optisolve.study.episodes.memory import MEMORIES, Memory
from optisolve.study.episodes.scores import EpisodeScores, score_steps
from optisolve.study.episodes.summary import EPISODE_FILE, check_episode, read_summary, save_episode

__all__ = [
    "EPISODE_FILE",
    "MEMORIES",
    "Arm",
    "Course",
    "EpisodeRun",
    "EpisodeScores",
    "Memory",
    "arms_of",
    "check_chains",
    "check_episode",
    "episode",
    "read_summary",
    "run_arm",
    "save_episode",
    "score_steps",
]
