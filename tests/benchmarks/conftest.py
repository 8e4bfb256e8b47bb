from tests.scoring.fixtures import scorer, workplace

__all__ = ["scorer", "workplace"]
