"""The compile stage: what has no wheel becomes one, in files that hold a compiler and go nowhere else.

``stage`` builds one wheel after the other, in the files that ``root`` puts together and an environment for its backend;
``sources`` unpacks what is to be built, ``backend`` calls the backend in the sandbox, ``native`` looks at the libraries
that the wheel needs, ``failure`` says why a build failed and what would help.
"""

from wherry.solve.compile.stage import CompileStage

__all__ = ["CompileStage"]
